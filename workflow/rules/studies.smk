# All values of a sweep on a dataset in one job.
for name, sweep in DESIGN.sweeps.items():

    rule:
        name:
            f"sweep_{name}"
        input:
            dataset="results/{dataset}/dataset.h5",
            plan="results/{dataset}/plan.json",
            split="results/{dataset}/split.json",
            best=DESIGN.study_search(sweep),
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
            mem_mb=growing(8000),
            runtime=growing(2880),
            gpu=COMPUTE["gpu"],
            gpu_memory_mb=COMPUTE["gpu_memory_mb"],
        params:
            sweep=name,
            points=reruns.point_fingerprints(sweep),
            threads=COMPUTE["threads"],
            programs="results/.work/.programs/{dataset}",
            tf32=COMPUTE["tf32"],
            work=f"results/.work/{{dataset}}/sweeps/{name}",
            map_size=config["image_size"],
            evaluation=config["evaluation"],
            own_files=DESIGN.own_files_state(sweep.base),
            code=reruns.study_code(sweep),
        script:
            "../scripts/sweep.py"


# Algorithm 1, on the datasets that the configuration names.
if DESIGN.batch_search:

    rule batch_search:
        input:
            dataset="results/{dataset}/dataset.h5",
            plan="results/{dataset}/plan.json",
            split="results/{dataset}/split.json",
            best=DESIGN.study_search(DESIGN.batch_search),
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
            mem_mb=growing(8000),
            runtime=growing(2880),
            gpu=COMPUTE["gpu"],
            gpu_memory_mb=COMPUTE["gpu_memory_mb"],
        params:
            method=reruns.method_fingerprints([DESIGN.batch_search.base]),
            epsilon=DESIGN.batch_search.epsilon,
            threads=COMPUTE["threads"],
            programs="results/.work/.programs/{dataset}",
            tf32=COMPUTE["tf32"],
            work="results/.work/{dataset}/batch_search",
            code=reruns.study_code(DESIGN.batch_search),
        script:
            "../scripts/batch_search.py"
