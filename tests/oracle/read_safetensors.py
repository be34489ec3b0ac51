"""Prints what is in a safetensors file, with the standard library alone: name, type, shape and the first element of each tensor."""
import json
import struct
import sys

with open(sys.argv[1], 'rb') as f:
    length, = struct.unpack('<Q', f.read(8))
    header, data = json.loads(f.read(length)), f.read()
for name in sorted(header.keys() - {'__metadata__'}):
    about, code = header[name], {'F64': 'd', 'F32': 'f', 'F16': 'e', 'I64': 'q', 'I32': 'i', 'I16': 'h', 'I8': 'b', 'U8': 'B', 'BOOL': '?'}
    first = struct.unpack_from('<' + code[about['dtype']], data, about['data_offsets'][0])[0]
    print(name, about['dtype'], about['shape'], repr(first), about['data_offsets'][1] - about['data_offsets'][0])
print(json.dumps(header.get('__metadata__', {}), sort_keys=True), len(data))
