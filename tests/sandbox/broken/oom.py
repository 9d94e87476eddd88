"""Takes memory without end."""

blocks = []
while True:
    blocks.append(bytearray(2**22))
