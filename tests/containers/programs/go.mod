module minispod.dev/tests/programs

go 1.26.0
