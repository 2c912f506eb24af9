#!/usr/bin/env python3
"""random_model.py TYPE FILE.gguf [arch=llama] [key=value ...]: a GGUF file of random weights in the shape of a small DeepSeek-V2,
or of a Llama.

TYPE: f32, bf16 or q8_0; norms, router and its bias stay f32. Keys: the numbers of SHAPES below. The weights mean nothing; shapes,
types and vocabulary are valid, so that any engine of the format can be timed on the file. Standard library only, the same bytes
each time. Weights repeat after a prime number of blocks, so that no two rows of a matrix are alike.
"""
import random
import struct
import sys

SHAPES = {
    'deepseek2': dict(layers=12, hidden=512, dense=1536, heads=8, vocab=32000, context=8192, q_rank=256, kv_rank=128, nope=128, rope=64,
                      value=128, dense_layers=1, experts=64, chosen=6, shared=1, width=256),
    'llama': dict(layers=30, hidden=576, dense=1536, heads=9, kv_heads=3, vocab=49152, context=8192),  # as SmolLM2-135M
}
CODE = dict(f32=0, q8_0=8, bf16=30)
FILE_CODE = dict(f32=0, q8_0=7, bf16=32)
BLOCK = dict(f32=(1, 4), bf16=(1, 2), q8_0=(32, 34))  # elements, bytes
SPREAD = 0.02
BLOCKS_BEFORE_REPEAT = 32749  # prime
ALIGN = 32
U32, F32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9


def text(value):
    raw = value.encode()
    return struct.pack('<Q', len(raw)) + raw


def entry(key, kind, value):
    if kind == STRING:
        body = text(value)
    elif kind == ARRAY:
        of, items = value
        body = struct.pack('<IQ', of, len(items))
        body += b''.join(map(text, items)) if of == STRING else struct.pack('<%d%s' % (len(items), {5: 'i', F32: 'f'}[of]), *items)
    else:
        body = struct.pack({U32: '<I', F32: '<f', BOOL: '<?'}[kind], value)
    return text(key) + struct.pack('<I', kind) + body


def pattern(kind):
    below = random.Random(2026)
    floats = [below.gauss(0, SPREAD) for _ in range(BLOCKS_BEFORE_REPEAT)]
    if kind == 'f32':
        return struct.pack('<%df' % len(floats), *floats)
    if kind == 'bf16':
        return b''.join(struct.pack('<f', value)[2:] for value in floats)
    # q8_0: a half-precision scale and 32 whole numbers
    blocks = []
    for _ in range(BLOCKS_BEFORE_REPEAT):
        scale = SPREAD / 64 * below.uniform(0.7, 1.3)
        blocks.append(struct.pack('<e', scale) + bytes(min(255, max(0, int(below.gauss(0, 50)) + 128)) ^ 128 for _ in range(32)))
    return b''.join(blocks)


def llama_tensors(s):
    h, kv = s['hidden'], s['hidden'] // s['heads'] * s['kv_heads']
    yield 'token_embd.weight', (h, s['vocab']), False, None
    yield 'output_norm.weight', (h,), True, 1.0
    yield 'output.weight', (h, s['vocab']), False, None
    for layer in range(s['layers']):
        for name in ('attn_norm', 'ffn_norm'):
            yield f'blk.{layer}.{name}.weight', (h,), True, 1.0
        for name, dimensions in dict(attn_q=(h, h), attn_k=(h, kv), attn_v=(h, kv), attn_output=(h, h), ffn_gate=(h, s['dense']),
                                     ffn_up=(h, s['dense']), ffn_down=(s['dense'], h)).items():
            yield f'blk.{layer}.{name}.weight', dimensions, False, None


def deepseek2_tensors(s):
    h, head = s['hidden'], s['nope'] + s['rope']
    yield 'token_embd.weight', (h, s['vocab']), False, None
    yield 'output_norm.weight', (h,), True, 1.0
    yield 'output.weight', (h, s['vocab']), False, None
    for layer in range(s['layers']):
        matrices = dict(attn_q_a=(h, s['q_rank']), attn_q_b=(s['q_rank'], s['heads'] * head), attn_kv_a_mqa=(h, s['kv_rank'] + s['rope']),
                        attn_kv_b=(s['kv_rank'], s['heads'] * (s['nope'] + s['value'])), attn_output=(s['heads'] * s['value'], h))
        if layer < s['dense_layers']:
            matrices |= dict(ffn_gate=(h, s['dense']), ffn_up=(h, s['dense']), ffn_down=(s['dense'], h))
        else:
            w, e = s['width'], s['experts']
            matrices |= dict(ffn_gate_exps=(h, w, e), ffn_up_exps=(h, w, e), ffn_down_exps=(w, h, e), ffn_gate_shexp=(h, w * s['shared']),
                             ffn_up_shexp=(h, w * s['shared']), ffn_down_shexp=(w * s['shared'], h))
            yield f'blk.{layer}.ffn_gate_inp.weight', (h, e), True, None
            yield f'blk.{layer}.exp_probs_b.bias', (e,), True, None
        for name, size in dict(attn_norm=h, attn_q_a_norm=s['q_rank'], attn_kv_a_norm=s['kv_rank'], ffn_norm=h).items():
            yield f'blk.{layer}.{name}.weight', (size,), True, 1.0
        for name, dimensions in matrices.items():
            yield f'blk.{layer}.{name}.weight', dimensions, False, None


def head_entries(kind, arch, s):
    numbers = {'context_length': s['context'], 'embedding_length': s['hidden'], 'block_count': s['layers'],
               'feed_forward_length': s['dense'], 'attention.head_count': s['heads']}
    floats = {'attention.layer_norm_rms_epsilon': 1e-5, 'rope.freq_base': 10000.0}
    flags = {}
    if arch == 'llama':
        numbers |= {'attention.head_count_kv': s['kv_heads'], 'rope.dimension_count': s['hidden'] // s['heads'], 'vocab_size': s['vocab']}
    else:
        numbers |= {'attention.head_count_kv': s['heads'], 'attention.q_lora_rank': s['q_rank'], 'attention.kv_lora_rank': s['kv_rank'],
                    'attention.key_length': s['nope'] + s['rope'], 'attention.value_length': s['value'],
                    'rope.dimension_count': s['rope'], 'vocab_size': s['vocab'], 'leading_dense_block_count': s['dense_layers'],
                    'expert_count': s['experts'], 'expert_used_count': s['chosen'], 'expert_shared_count': s['shared'],
                    'expert_feed_forward_length': s['width'], 'expert_gating_func': 2}
        floats |= {'expert_weights_scale': 1.0}
        flags |= {'expert_weights_norm': True}
    # The smallest vocabulary that a sentencepiece reader takes: three control tokens, every byte, and names.
    words = ['<unk>', '<s>', '</s>'] + [f'<0x{byte:02X}>' for byte in range(256)]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (s['vocab'] - 259)
    words += [f'\u2581w{i}' for i in range(259, s['vocab'])]
    return [entry('general.architecture', STRING, arch), entry('general.name', STRING, 'random'),
            entry('general.file_type', U32, FILE_CODE[kind]), entry('general.quantization_version', U32, 2),
            *(entry(f'{arch}.{key}', U32, value) for key, value in numbers.items()),
            *(entry(f'{arch}.{key}', F32, value) for key, value in floats.items()),
            *(entry(f'{arch}.{key}', BOOL, value) for key, value in flags.items()),
            entry('tokenizer.ggml.model', STRING, 'llama'),
            entry('tokenizer.ggml.tokens', ARRAY, (STRING, words)),
            entry('tokenizer.ggml.scores', ARRAY, (F32, [-float(i) for i in range(s['vocab'])])),
            entry('tokenizer.ggml.token_type', ARRAY, (5, kinds)), entry('tokenizer.ggml.bos_token_id', U32, 1),
            entry('tokenizer.ggml.eos_token_id', U32, 2), entry('tokenizer.ggml.unknown_token_id', U32, 0)]


def write(kind, path, arch, s):
    listed, offset = [], 0
    # (name, dimensions with the inner one first, whether it keeps f32, its value if it is constant)
    for name, dimensions, keeps_f32, constant in (llama_tensors if arch == 'llama' else deepseek2_tensors)(s):
        stored = 'f32' if keeps_f32 else kind
        elements, size = BLOCK[stored]
        if dimensions[0] % elements:
            sys.exit(f'random_model: {name}: {dimensions[0]} inputs are no multiple of {elements}; choose another shape or type')
        count = 1
        for n in dimensions:
            count *= n
        listed.append((name, dimensions, stored, constant, offset, count // elements))
        offset += -(-(count // elements * size) // ALIGN) * ALIGN
    entries = head_entries(kind, arch, s)
    repeated = {stored: pattern(stored) for stored in {'f32', kind}}
    with open(path, 'wb') as out:
        out.write(b'GGUF' + struct.pack('<IQQ', 3, len(listed), len(entries)) + b''.join(entries))
        for name, dimensions, stored, _, at, _ in listed:
            out.write(text(name) + struct.pack(f'<I{len(dimensions)}QIQ', len(dimensions), *dimensions, CODE[stored], at))
        out.write(bytes(-out.tell() % ALIGN))
        start = 0
        for _, _, stored, constant, _, blocks in listed:
            size = BLOCK[stored][1]
            if constant is not None:
                out.write(struct.pack('<f', constant) * blocks)
            else:
                source = repeated[stored]
                begin, left = start * size, blocks * size
                while left > 0:
                    piece = memoryview(source)[begin:begin + left]
                    out.write(piece)
                    left -= len(piece)
                    begin = 0
                start = (start + blocks) % BLOCKS_BEFORE_REPEAT
            out.write(bytes(-blocks * size % ALIGN))


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in CODE:
        sys.exit(__doc__)
    words = sys.argv[3:]
    arch = 'deepseek2'
    if words and words[0].startswith('arch='):
        arch = words.pop(0).removeprefix('arch=')
        if arch not in SHAPES:
            sys.exit(f'random_model: arch is one of {", ".join(SHAPES)}')
    shape = dict(SHAPES[arch])
    for word in words:
        key, _, value = word.partition('=')
        if key not in shape or not value.isdigit():
            sys.exit(f'random_model: {word}: keys are {", ".join(shape)}, values whole numbers')
        shape[key] = int(value)
    write(sys.argv[1], sys.argv[2], arch, shape)


if __name__ == '__main__':
    main()
