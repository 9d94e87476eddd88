"""AIRA-Design on Long Range Arena: data, the candidate contract, encoders, one training loop, the winning designs."""
