rule search:
    input:
        dataset=images_file,
        plan="results/{dataset}/plan.json",
        split="results/{dataset}/split.json",
    output:
        trials="results/{dataset}/{method}/search/trials.csv",
        best="results/{dataset}/{method}/search/best.json",
    log:
        "results/logs/{dataset}/{method}/search.log",
    benchmark:
        "results/benchmarks/{dataset}/{method}/search.tsv"
    wildcard_constraints:
        method=any_of(DESIGN.owners("search", ["dual"])),
    conda:
        ENVIRONMENT
    threads: COMPUTE["threads"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(2880),
        gpu=COMPUTE["gpu"],
        gpu_memory_mb=COMPUTE["gpu_memory_mb"],
    params:
        method=stage_params("search"),
        threads=COMPUTE["threads"],
        programs="results/.work/.programs/{dataset}",
        tf32=COMPUTE["tf32"],
        work="results/.work/{dataset}/{method}/search",
        code=lambda wildcards: reruns.search_code(method_of(wildcards)),
    script:
        "../scripts/search.py"
