# All values of a sweep on a dataset in one job.
for name, design in SWEEPS.items():

    rule:
        name:
            f"sweep_{name}"
        input:
            dataset="results/{dataset}/dataset.h5",
            plan="results/{dataset}/plan.json",
            split="results/{dataset}/split.json",
            best=study_search(design),
        output:
            directory(f"results/{{dataset}}/sweeps/{name}"),
        log:
            f"results/logs/{{dataset}}/sweeps/{name}.log",
        benchmark:
            f"results/benchmarks/{{dataset}}/sweeps/{name}.tsv"
        conda:
            ENVIRONMENT
        threads: COMPUTE["threads"]
        resources:
            mem_mb=8000,
            runtime=2880,
            gpu=COMPUTE["gpu"],
            gpu_memory_mb=COMPUTE["gpu_memory_mb"],
        params:
            points=point_params(name),
            threads=COMPUTE["threads"],
            work=f"results/.work/{{dataset}}/sweeps/{name}",
            map_size=config["image_size"],
            evaluation=config["evaluation"],
            own_files=own_files_state(design.base),
            code=study_code(design),
        script:
            "../scripts/sweep.py"


# Algorithm 1, on the datasets that the configuration names.
if BATCH_SEARCH:

    rule batch_search:
        input:
            dataset="results/{dataset}/dataset.h5",
            plan="results/{dataset}/plan.json",
            split="results/{dataset}/split.json",
            best=study_search(BATCH_SEARCH),
        output:
            evaluations="results/{dataset}/batch_search/evaluations.csv",
            result="results/{dataset}/batch_search/result.json",
        log:
            "results/logs/{dataset}/batch_search.log",
        benchmark:
            "results/benchmarks/{dataset}/batch_search.tsv"
        conda:
            ENVIRONMENT
        threads: COMPUTE["threads"]
        resources:
            mem_mb=8000,
            runtime=2880,
            gpu=COMPUTE["gpu"],
            gpu_memory_mb=COMPUTE["gpu_memory_mb"],
        params:
            method=method_params(BATCH_SEARCH.base),
            epsilon=BATCH_SEARCH.epsilon,
            threads=COMPUTE["threads"],
            work="results/.work/{dataset}/batch_search",
            code=study_code(BATCH_SEARCH),
        script:
            "../scripts/batch_search.py"
