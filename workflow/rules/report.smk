# The report shows; it computes nothing that another stage has not written.


rule report:
    input:
        SHOWN,
        BASELINE,
        TRAINED,
        EVALUATED,
        PROFILED,
        TUNED,
        "results/compare",
    output:
        "reports/study.ipynb",
        report("reports/study.html", caption="../report/study.rst", category="Study"),
        report(
            directory("reports/figures"),
            patterns=["png/{figure}.png"],
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        report(
            directory("reports/tables"),
            patterns=["{table}.csv"],
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
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
        "eventspeech report --params {params.file} --log {log}"
        " --spikes data/spikes --results results --benchmarks benchmarks --out reports"


tell_at_the_end()


onsuccess:
    print(findings(Path("results"), Path("reports")), end="", file=sys.stderr)
