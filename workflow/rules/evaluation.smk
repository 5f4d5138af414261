# The test, once per model, and the comparison of the losses. No other rule may have the test split among its inputs.


rule evaluate:
    input:
        model="results/train/{loss}/{seed}/{fold}/weights.npz",
        spikes="data/spikes/test.npz",
        raw="data/raw",
    output:
        metrics="results/evaluate/{loss}/{seed}/{fold}/metrics.json",
        predictions="results/evaluate/{loss}/{seed}/{fold}/predictions.csv",
        confusion=report(
            "results/evaluate/{loss}/{seed}/{fold}/confusion.csv",
            caption="../report/confusion.rst",
            category="Tests",
            labels={"loss": "{loss}", "seed": "{seed}", "fold": "{fold}"},
        ),
        examples="results/evaluate/{loss}/{seed}/{fold}/examples.npz",
    log:
        "logs/evaluate/{loss}/{seed}/{fold}.log",
    benchmark:
        "benchmarks/evaluate/{loss}/{seed}/{fold}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_mb,
        runtime="30m",
        gpu=gpus(PARAMETERS.evaluate.engine),
    params:
        *read_by("evaluate"),
        file=parameters_file,
    shell:
        "eventspeech evaluate --params {params.file} --log {log}"
        " --model {input.model} --spikes {input.spikes} --raw {input.raw} --metrics {output.metrics}"
        " --predictions {output.predictions} --confusion {output.confusion} --examples {output.examples}"


rule evaluate_baseline:
    input:
        model="results/baseline/{fold}/model.npz",
        spikes="data/spikes/test.npz",
    output:
        metrics="results/evaluate/baseline/{fold}/metrics.json",
        predictions="results/evaluate/baseline/{fold}/predictions.csv",
        confusion="results/evaluate/baseline/{fold}/confusion.csv",
        examples="results/evaluate/baseline/{fold}/examples.npz",
    log:
        "logs/evaluate/baseline/{fold}.log",
    benchmark:
        "benchmarks/evaluate/baseline/{fold}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_mb,
        runtime="30m",
    params:
        *read_by("evaluate"),
        file=parameters_file,
    shell:
        "eventspeech evaluate --params {params.file} --log {log}"
        " --model {input.model} --spikes {input.spikes} --metrics {output.metrics}"
        " --predictions {output.predictions} --confusion {output.confusion} --examples {output.examples}"


rule compare:
    input:
        TRAINED,
        EVALUATED,
    output:
        out=report(
            directory("results/compare"),
            patterns=["{table}.csv"],
            caption="../report/comparison.rst",
            category="Comparison",
            labels={"table": "{table}"},
        ),
    log:
        "logs/compare/compare.log",
    benchmark:
        "benchmarks/compare/compare.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        *read_by("compare"),
        file=parameters_file,
    shell:
        "eventspeech compare --params {params.file} --log {log}"
        " --models results/train --evaluations results/evaluate --out {output.out}"
