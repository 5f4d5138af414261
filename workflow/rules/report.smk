# The report shows; it computes nothing that another stage has not written.


rule report:
    input:
        SHOWN,
        BASELINE,
        TRAINED,
        EVALUATED,
        PROFILED,
        "results/compare",
    output:
        "reports/study.ipynb",
        "reports/study.html",
        directory("reports/figures"),
        directory("reports/tables"),
    log:
        "logs/report/report.log",
    benchmark:
        "benchmarks/report/report.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        *read_by("report"),
        file=parameters_file,
    shell:
        "eventspeech report --params {params.file} --log {log}" " --spikes data/spikes --results results --out reports"
