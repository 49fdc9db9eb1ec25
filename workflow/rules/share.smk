# A stage that two methods have in common is computed for the first of them, its owner; the other
# gets copies, one job per file. Not hard links: Snakemake gives the output of a job a new time, a
# link shares its time with the owner's file, and what was made of that would look outdated.
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
            method=any_of(DESIGN.sharers(stage)),
            file=any_of(DESIGN.shared_files(stage)),
        localrule: True
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=growing(100),
            runtime=growing(5),
        shell:
            "cp {input} {output} 2> {log}"
