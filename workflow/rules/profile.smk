# Time, power and energy of training. A measurement takes all cores, so that nothing runs beside it.


rule profile_cpu:
    input:
        spikes="data/spikes/train.npz",
    output:
        out="results/profile/cpu/{batch}.json",
    log:
        "logs/profile/cpu/{batch}.log",
    benchmark:
        "benchmarks/profile/cpu/{batch}.tsv"
    conda:
        ENVIRONMENT
    threads: ALL_CORES
    params:
        *read_by("profile"),
        file=parameters_file,
    shell:
        "eventspeech profile --params {params.file} --log {log}"
        " --device cpu --batch-size {wildcards.batch} --spikes {input.spikes} --out {output.out}"


rule profile_cuda:
    input:
        spikes="data/spikes/train.npz",
    output:
        out="results/profile/cuda/{batch}.json",
    log:
        "logs/profile/cuda/{batch}.log",
    benchmark:
        "benchmarks/profile/cuda/{batch}.tsv"
    conda:
        ENVIRONMENT
    threads: ALL_CORES
    resources:
        gpu=1,
    params:
        *read_by("profile"),
        file=parameters_file,
    shell:
        "eventspeech profile --params {params.file} --log {log}"
        " --device cuda --batch-size {wildcards.batch} --spikes {input.spikes} --out {output.out}"
