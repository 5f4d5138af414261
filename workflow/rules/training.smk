# One network for each loss and seed, and the baseline they have to beat.


rule baseline:
    input:
        spikes="data/spikes/train.npz",
    output:
        model="results/baseline/model.npz",
        summary="results/baseline/summary.json",
    log:
        "logs/baseline/baseline.log",
    benchmark:
        "benchmarks/baseline/baseline.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    params:
        *read_by("baseline"),
        file=parameters_file,
    shell:
        "eventspeech baseline --params {params.file} --log {log}"
        " --spikes {input.spikes} --model {output.model} --summary {output.summary}"


# The checkpoint is no output: Snakemake and DVC delete outputs before a job runs, and it must outlive an interruption.
# One thread: two trainings side by side use two cores better than one training does.
rule train:
    input:
        spikes="data/spikes/train.npz",
    output:
        weights="results/train/{loss}/{seed}/weights.npz",
        history="results/train/{loss}/{seed}/history.csv",
        summary="results/train/{loss}/{seed}/summary.json",
    log:
        "logs/train/{loss}/{seed}.log",
    benchmark:
        "benchmarks/train/{loss}/{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=gpus(PARAMETERS.train.engine),
    params:
        *read_by("train"),
        file=parameters_file,
    shell:
        "eventspeech train --params {params.file} --log {log}"
        " --loss {wildcards.loss} --seed {wildcards.seed} --spikes {input.spikes}"
        " --weights {output.weights} --history {output.history} --summary {output.summary}"
        " --checkpoint results/checkpoints/{wildcards.loss}/{wildcards.seed}.npz"
