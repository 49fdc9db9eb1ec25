# A rule per family, because each leaves files of its own; fitting and scoring in one job.
for family in DESIGN.fitted_at_once:

    rule:
        name:
            f"fit_{family}"
        input:
            dataset=images_file,
            plan="results/{dataset}/plan.json",
            split="results/{dataset}/split.json",
            network=network_files,
        output:
            collect(
                "results/{{dataset}}/{{method}}/{file}",
                file=DESIGN.files_at_once(family),
            ),
        log:
            "results/logs/{dataset}/{method}/fit.log",
        benchmark:
            "results/benchmarks/{dataset}/{method}/fit.tsv"
        wildcard_constraints:
            method=any_of(DESIGN.owners("train", [family])),
        conda:
            ENVIRONMENT
        threads: COMPUTE["threads"]
        resources:
            mem_mb=growing(12000),
            runtime=growing(1440),
            gpu=COMPUTE["gpu"] if FAMILIES[family].uses_tensorflow else 0,
            gpu_memory_mb=COMPUTE["gpu_memory_mb"],
        params:
            method=stage_params("score"),
            threads=COMPUTE["threads"],
            programs="results/.work/.programs/{dataset}",
            tf32=COMPUTE["tf32"] and FAMILIES[family].uses_tensorflow,
            work="results/.work/{dataset}/{method}/fit",
            map_size=config["image_size"],
            own_files=lambda wildcards: DESIGN.own_files_state(method_of(wildcards)),
            code=lambda wildcards: reruns.baseline_code(method_of(wildcards)),
        script:
            "../scripts/baseline.py"
