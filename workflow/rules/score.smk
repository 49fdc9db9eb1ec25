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
        method=any_of(DESIGN.owners("score", ["dual"])),
    conda:
        ENVIRONMENT
    threads: COMPUTE["threads"]
    resources:
        mem_mb=growing(6000),
        runtime=growing(480),
        gpu=COMPUTE["gpu"],
        gpu_memory_mb=COMPUTE["gpu_memory_mb"],
    params:
        method=stage_params("score"),
        work="results/.work/{dataset}/{method}/score",
        threads=COMPUTE["threads"],
        programs="results/.work/.programs/{dataset}",
        tf32=COMPUTE["tf32"],
        map_size=config["image_size"],
        code=lambda wildcards: reruns.score_code(method_of(wildcards)),
    script:
        "../scripts/score.py"


# A rule of its own, so that a cluster's profile can send networks alone to nodes with a GPU.
use rule score as score_controls with:
    wildcard_constraints:
        method=any_of(DESIGN.owners("score", ["control"])),
    threads: 1
    resources:
        mem_mb=growing(6000),
        runtime=growing(480),
    params:
        method=stage_params("score"),
        work="results/.work/{dataset}/{method}/score",
        threads=1,
        map_size=config["image_size"],
        code=lambda wildcards: reruns.score_code(method_of(wildcards)),
