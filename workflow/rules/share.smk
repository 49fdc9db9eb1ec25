localrules:
    share_search,
    share_train,
    share_score,


# A stage that two methods have in common is computed for the first of them, its owner; the other
# gets hard links, one job per file. A link has the time of the file that it is made from and so
# never looks outdated, as one of several files in a job would beside a younger input.
for stage in ("search", "train", "score"):

    rule:
        name:
            f"share_{stage}"
        input:
            owned_file(stage),
        output:
            "results/{dataset}/{method}/{file}",
        log:
            "results/logs/{dataset}/{method}/share/{file}.log",
        benchmark:
            "results/benchmarks/{dataset}/{method}/share/{file}.tsv"
        wildcard_constraints:
            method=any_of(sharers(stage)),
            file=any_of({file for name in METHODS for file in stage_files(name).get(stage, [])}),
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=100,
            runtime=5,
        shell:
            "ln -f {input} {output} 2> {log} || cp -p {input} {output} 2>> {log}"
