# From a source of speech to spikes.


rule download:
    output:
        raw=directory("data/raw"),
    log:
        "logs/download/download.log",
    benchmark:
        "benchmarks/download/download.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime="4h",
    params:
        *read_by("download"),
        file=parameters_file,
    shell:
        "eventspeech download --params {params.file} --log {log} --raw {output.raw}"


rule preprocess:
    input:
        raw="data/raw",
    output:
        spikes="data/spikes/{split}.npz",
        statistics="data/spikes/{split}.json",
    log:
        "logs/preprocess/{split}.log",
    benchmark:
        "benchmarks/preprocess/{split}.tsv"
    conda:
        ENVIRONMENT
    threads: whole_node("preprocess")
    resources:
        mem_mb=memory_mb,
        runtime="2h",
    params:
        *read_by("preprocess"),
        file=parameters_file,
    shell:
        "eventspeech preprocess --params {params.file} --log {log}"
        " --raw {input.raw} --split {wildcards.split}"
        " --spikes {output.spikes} --statistics {output.statistics}"
