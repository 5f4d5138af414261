# The study, as a table of contents: the rules are in workflow/rules, what they share in workflow/rules/common.smk.
from eventspeech.workflow import one_sentence, require_readable
from snakemake.utils import min_version

min_version("9.18")  # the first that compares checksums, so that a touched but equal file reruns nothing

with one_sentence():
    require_readable()


configfile: "params.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/speech.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/profile.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        "reports/study.html",
