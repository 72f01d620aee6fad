# Entry point for a plain `snakemake`; the workflow itself is workflow/Snakefile.
include: "workflow/Snakefile"


rule default:
    default_target: True
    input:
        rules.all.input,
    message:
        "Every run, page and catalog entry of the batch is there"
