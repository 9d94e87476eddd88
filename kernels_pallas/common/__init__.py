"""What the operators share: dispatch, input checks, backends, lowering without a device, roofline, timing."""
