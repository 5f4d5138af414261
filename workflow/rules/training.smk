# One network for each loss, seed and fold, and the baseline of each fold, which they have to beat.


rule baseline:
    input:
        spikes="data/spikes/train.npz",
    output:
        model="results/baseline/{fold}/model.npz",
        summary="results/baseline/{fold}/summary.json",
    log:
        "logs/baseline/{fold}.log",
    benchmark:
        "benchmarks/baseline/{fold}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_mb,
        runtime="30m",
    params:
        *read_by("baseline"),
        file=parameters_file,
    shell:
        "eventspeech baseline --params {params.file} --log {log}"
        " --fold {wildcards.fold:q} --spikes {input.spikes} --model {output.model} --summary {output.summary}"


# The checkpoint is no output: Snakemake and DVC delete outputs before a job runs, and it must outlive an interruption.
# One thread: two trainings side by side use two cores better than one training does.
rule train:
    input:
        spikes="data/spikes/train.npz",
    output:
        weights="results/train/{loss}/{seed}/{fold}/weights.npz",
        history=report(
            "results/train/{loss}/{seed}/{fold}/history.csv",
            caption="../report/history.rst",
            category="Trainings",
            labels={"loss": "{loss}", "seed": "{seed}", "fold": "{fold}"},
        ),
        summary="results/train/{loss}/{seed}/{fold}/summary.json",
    log:
        "logs/train/{loss}/{seed}/{fold}.log",
    benchmark:
        "benchmarks/train/{loss}/{seed}/{fold}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_mb,
        runtime="12h",
        gpu=lambda wildcards: gpus(PARAMETERS.for_loss(wildcards.loss).optimiser.engine),
    params:
        *read_by("train"),
        file=parameters_file,
    shell:
        "eventspeech train --params {params.file} --log {log}"
        " --loss {wildcards.loss:q} --seed {wildcards.seed:q} --fold {wildcards.fold:q} --spikes {input.spikes}"
        " --weights {output.weights} --history {output.history} --summary {output.summary}"
        " --checkpoint results/checkpoints/{wildcards.loss}/{wildcards.seed}/{wildcards.fold}.npz"


# Planned for the losses of `tune.losses` alone, of which the default study has none. What is found is laid over the
# parameters of the next run by --configfile. The storage is no output for the same reason as a checkpoint.
rule tune:
    input:
        spikes="data/spikes/train.npz",
    output:
        trials=report(
            "results/tune/{loss}/trials.csv",
            caption="../report/trials.rst",
            category="Tuning",
            labels={"loss": "{loss}"},
        ),
        curves="results/tune/{loss}/curves.csv",
        best="results/tune/{loss}/best.yaml",
        summary="results/tune/{loss}/summary.json",
    log:
        "logs/tune/{loss}.log",
    benchmark:
        "benchmarks/tune/{loss}.tsv"
    conda:
        ENVIRONMENT
    threads: PARAMETERS.tune.workers
    resources:
        mem_mb=lambda wildcards, attempt: PARAMETERS.tune.workers * memory_mb(wildcards, attempt),
        runtime="24h",
        gpu=lambda wildcards: gpus(PARAMETERS.for_loss(wildcards.loss).optimiser.engine),
    params:
        *read_by("tune"),
        file=parameters_file,
    shell:
        "eventspeech tune --params {params.file} --log {log}"
        " --loss {wildcards.loss:q} --spikes {input.spikes} --trials {output.trials} --curves {output.curves}"
        " --best {output.best} --summary {output.summary} --storage results/checkpoints/tune/{wildcards.loss}.journal"
