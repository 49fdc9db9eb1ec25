# All attempts of a method in one job: starting TensorFlow costs more than many an attempt.
rule train:
    input:
        dataset=images_file,
        plan="results/{dataset}/plan.json",
        split="results/{dataset}/split.json",
        best=lambda wildcards: DESIGN.search_result(wildcards.dataset, wildcards.method),
    output:
        "results/{dataset}/{method}/model.keras",
        "results/{dataset}/{method}/residuals.npz",
        "results/{dataset}/{method}/attempts.csv",
        "results/{dataset}/{method}/epochs.csv",
        "results/{dataset}/{method}/fit.json",
    log:
        "results/logs/{dataset}/{method}/train.log",
    benchmark:
        "results/benchmarks/{dataset}/{method}/train.tsv"
    wildcard_constraints:
        method=any_of(DESIGN.owners("train", ["dual_autoencoder"])),
    conda:
        ENVIRONMENT
    threads: COMPUTE["threads"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(2880),
        gpu=COMPUTE["gpu"],
        gpu_memory_mb=COMPUTE["gpu_memory_mb"],
    params:
        method=stage_params("train"),
        threads=COMPUTE["threads"],
        programs="results/.work/.programs/{dataset}",
        tf32=COMPUTE["tf32"],
        work="results/.work/{dataset}/{method}/train",
        code=lambda wildcards: reruns.train_code(method_of(wildcards)),
    script:
        "../scripts/fit.py"


# On pretrained features, whose network is kept beside the method's own.
use rule train as train_features with:
    output:
        "results/{dataset}/{method}/backbone.keras",
        "results/{dataset}/{method}/model.keras",
        "results/{dataset}/{method}/residuals.npz",
        "results/{dataset}/{method}/attempts.csv",
        "results/{dataset}/{method}/epochs.csv",
        "results/{dataset}/{method}/fit.json",
    wildcard_constraints:
        method=any_of(DESIGN.owners("train", ["dual_features"])),


# The families without a network.
rule fit:
    input:
        dataset="results/{dataset}/dataset.h5",
        plan="results/{dataset}/plan.json",
        split="results/{dataset}/split.json",
    output:
        "results/{dataset}/{method}/model.npz",
        "results/{dataset}/{method}/fit.json",
    log:
        "results/logs/{dataset}/{method}/fit.log",
    benchmark:
        "results/benchmarks/{dataset}/{method}/fit.tsv"
    wildcard_constraints:
        method=any_of(DESIGN.owners("train", ["control"])),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        method=stage_params("train"),
        work="results/.work/{dataset}/{method}/fit",
        code=lambda wildcards: reruns.control_code(method_of(wildcards)),
    script:
        "../scripts/fit.py"
