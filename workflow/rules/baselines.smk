# A rule per family, because each leaves files of its own; fitting and scoring in one job.
for family in sorted(BASELINES):

    rule:
        name:
            f"fit_{family}"
        input:
            dataset=images_file,
            plan="results/{dataset}/plan.json",
            split="results/{dataset}/split.json",
        output:
            baseline_outputs(family),
        log:
            "results/logs/{dataset}/{method}/fit.log",
        benchmark:
            "results/benchmarks/{dataset}/{method}/fit.tsv"
        wildcard_constraints:
            method=any_of(owners("train", family)),
        conda:
            ENVIRONMENT
        threads: COMPUTE["threads"]
        resources:
            mem_mb=12000,
            runtime=1440,
            gpu=COMPUTE["gpu"],
            gpu_memory_mb=COMPUTE["gpu_memory_mb"],
        params:
            method=stage_params("score"),
            threads=COMPUTE["threads"],
            work="results/.work/{dataset}/{method}/fit",
            map_size=config["image_size"],
            own_files=lambda wildcards: own_files_state(METHODS[wildcards.method]),
            code=baseline_code,
        script:
            "../scripts/baseline.py"
