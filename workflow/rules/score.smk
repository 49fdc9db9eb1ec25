rule score:
    input:
        model=lambda wildcards: DESIGN.fitted_files(wildcards.dataset, wildcards.method),
        dataset=images_file,
        split="results/{dataset}/split.json",
    output:
        predictions="results/{dataset}/{method}/predictions.h5",
        scoring="results/{dataset}/{method}/scoring.json",
    log:
        "results/logs/{dataset}/{method}/score.log",
    benchmark:
        "results/benchmarks/{dataset}/{method}/score.tsv"
    wildcard_constraints:
        method=any_of(DESIGN.owners("score", ["dual", "control"])),
    conda:
        ENVIRONMENT
    threads: network_threads
    resources:
        mem_mb=6000,
        runtime=480,
        gpu=lambda wildcards: COMPUTE["gpu"] if DESIGN.is_dual(wildcards.method) else 0,
        gpu_memory_mb=COMPUTE["gpu_memory_mb"],
    params:
        method=stage_params("score"),
        threads=network_threads,
        programs="results/.work/.programs/{dataset}",
        tf32=lambda wildcards: COMPUTE["tf32"] and DESIGN.is_dual(wildcards.method),
        map_size=config["image_size"],
        code=lambda wildcards: reruns.score_code(method_of(wildcards)),
    script:
        "../scripts/score.py"
