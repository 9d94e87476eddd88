"""AIRA-Compose after the search: many scored patterns become one pattern, and that pattern becomes models at scale.

rows, ledger, ranking, provenance                   what was found
kmeans, voters, aggregate, election, recipes        one base pattern from many
extrapolate, dims, flops, zoo, zoo_table            models at scale, and the published ones
pipeline, compare, measuring                        the whole way; two arms against each other; a pattern trained anew
"""
