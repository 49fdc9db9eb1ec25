# The paper's numbers: ours beside them, and what they say of each other.
rule paper:
    input:
        results=DESIGN.available(DESIGN.metrics_files()),
        notes=DESIGN.description_files(DESIGN.metrics_files()),
    output:
        multiext("results/paper/comparison", ".csv", ".md", ".tex"),
        multiext("results/paper/audit", ".csv", ".md", ".tex"),
        "results/paper/paper_comparison.pdf",
        comparison=report(
            "results/paper/comparison.html",
            caption="../report/paper.rst",
            category="The paper",
            labels={"paper": "ours beside the paper", "format": "table"},
        ),
        picture=report(
            "results/paper/paper_comparison.png",
            caption="../report/paper.rst",
            category="The paper",
            labels={"paper": "ours beside the paper", "format": "figure"},
        ),
        audit=report(
            "results/paper/audit.html",
            caption="../report/paper.rst",
            category="The paper",
            labels={"paper": "audit of Table 6", "format": "table"},
        ),
        matrices="results/paper/confusion_matrices.csv",
    log:
        "results/logs/paper.log",
    benchmark:
        "results/benchmarks/paper.tsv"
    group:
        "across"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        # All of them: what is missing is shown as a gap.
        results=reruns.paths_fingerprint(DESIGN.metrics_files()),
        paper_names=reruns.fingerprint("paper_names", DESIGN.paper_names),
        code=reruns.paper_code(),
    script:
        "../scripts/paper.py"
