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
    threads: whole_node("profile_cpu")
    resources:
        mem_mb=memory_mb,
        runtime="4h",
    params:
        *read_by("profile"),
        file=parameters_file,
    shell:
        "eventspeech profile --params {params.file} --log {log}"
        " --device cpu --batch-size {wildcards.batch:q} --spikes {input.spikes} --out {output.out}"


# Where no GPU can be had, by the machine's, the driver's or the scheduler's word, the measurement is a row that says so:
# the last attempt asks for none.
rule profile_cuda:
    input:
        spikes="data/spikes/train.npz",
    output:
        out="results/profile/cuda/{batch}.json",
    log:
        "logs/profile/cuda/{batch}.log",
    benchmark:
        "benchmarks/profile/cuda/{batch}.tsv"
    retries: cluster.ATTEMPTS_WITH_GPU
    conda:
        ENVIRONMENT
    threads: whole_node("profile_cuda")
    resources:
        mem_mb=memory_mb,
        runtime="4h",
        gpu=gpu_to_measure,
    params:
        *read_by("profile"),
        file=parameters_file,
    shell:
        "eventspeech profile --params {params.file} --log {log}"
        " --device cuda --batch-size {wildcards.batch:q} --spikes {input.spikes} --out {output.out}"
