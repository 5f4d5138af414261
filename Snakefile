# What `snakemake` finds here. The table of contents is workflow/Snakefile, where workflow catalogues look for it.
include: "workflow/Snakefile"


localrules:
    study,


rule study:  # Snakemake takes no default target from a file that is included
    default_target: True
    input:
        rules.all.input,
