"""Write a tiny random llama-architecture GGUF model, for tests that need a real server."""

import argparse
from pathlib import Path
from typing import Final

import gguf
import numpy as np
import numpy.typing as npt

CONTEXT_LENGTH: Final = 4096
N_LAYERS: Final = 2
N_HEADS: Final = 4
N_EMBD: Final = 64
N_FF: Final = 128

SPECIAL_TOKENS: Final = ("<unk>", "<s>", "</s>")
UNK_ID, BOS_ID, EOS_ID = range(3)
N_BYTES: Final = 256
CHARACTERS_START: Final = len(SPECIAL_TOKENS) + N_BYTES
SPACE: Final = "\u2581"  # how a SentencePiece vocabulary spells a space

CHARACTERS: Final = (SPACE, *map(chr, range(ord("!"), ord("~") + 1)))
#: The marks of the chat template around a tool call, each one token.  The model never writes
#: them by itself; a request forces a tool call with ``logit_bias`` (see ``TOOL_CALL_BIAS``).
TOOL_TOKENS: Final = ("<tool_call>", "</tool_call>")
TOOL_CALL_ID: Final = CHARACTERS_START + len(CHARACTERS)
#: With this ``logit_bias``, tools and ``tool_choice: required``, the answer is a tool call
#: (now and then several).
TOOL_CALL_BIAS: Final = {str(TOOL_CALL_ID): 100, str(EOS_ID): 200}

#: Logit scale: the larger, the less uniform the sampled characters.
LOGIT_STD: Final = 1.5
#: Logit penalty of tokens that would make the text ugly: byte and special tokens.
PENALTY: Final = 20.0

CHAT_TEMPLATE: Final = (
    "{% if tools %}{{ 'tools:\\n' }}"
    "{% for tool in tools %}{{ (tool | tojson) + '\\n' }}{% endfor %}{% endif %}"
    "{% for message in messages %}"
    "{{ message['role'] + ': ' + (message['content'] or '') }}"
    "{% for call in message['tool_calls'] or [] %}"
    "{{ '<tool_call>' + ({'name': call['function']['name'],"
    " 'arguments': call['function']['arguments']} | tojson) + '</tool_call>' }}"
    "{% endfor %}{{ '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)

FloatArray = npt.NDArray[np.float32]


def vocabulary() -> tuple[list[str], list[gguf.TokenType]]:
    """Return the tokens and their types.

    There is one token per printable ASCII character; anything else falls back to the tokens of
    its UTF-8 bytes, so that every text can be tokenized.
    """
    tokens = [
        *SPECIAL_TOKENS,
        *(f"<0x{byte:02X}>" for byte in range(N_BYTES)),
        *CHARACTERS,
        *TOOL_TOKENS,
    ]
    types = [
        gguf.TokenType.UNKNOWN,
        gguf.TokenType.CONTROL,
        gguf.TokenType.CONTROL,
        *[gguf.TokenType.BYTE] * N_BYTES,
        *[gguf.TokenType.NORMAL] * len(CHARACTERS),
        *[gguf.TokenType.USER_DEFINED] * len(TOOL_TOKENS),
    ]
    return tokens, types


def random_weights(n_vocab: int, seed: int) -> dict[str, FloatArray]:
    """Return every tensor of the model, drawn from the seed.

    Dimension 0 of the hidden state is kept constant (every embedding has the same value there
    and no layer writes to it), so that the output matrix can use it as a bias: byte, tool and
    special tokens are made all but impossible and free text comes out as printable ASCII.  The
    end token is left as likely as any character.
    """
    rng = np.random.default_rng(seed)

    def normal(rows: int, columns: int, std: float) -> FloatArray:
        return rng.normal(0.0, std, (rows, columns)).astype(np.float32)

    constant = float(np.sqrt(N_EMBD))
    embeddings = normal(n_vocab, N_EMBD, 1.0)
    embeddings[:, 0] = constant
    output = normal(n_vocab, N_EMBD, LOGIT_STD / constant)
    output[:, 0] = 0.0
    # After the final RMS norm, dimension 0 is positive and between about 3 and 6.
    bytes_ids = range(len(SPECIAL_TOKENS), CHARACTERS_START)
    penalized = [UNK_ID, BOS_ID, *bytes_ids, *range(TOOL_CALL_ID, n_vocab)]
    output[penalized, 0] = -PENALTY / 3.0

    ones = np.ones(N_EMBD, dtype=np.float32)
    weights = {
        "token_embd.weight": embeddings,
        "output_norm.weight": ones,
        "output.weight": output,
    }
    for layer in range(N_LAYERS):
        attention_output = normal(N_EMBD, N_EMBD, N_EMBD**-0.5)
        feed_forward_down = normal(N_EMBD, N_FF, N_FF**-0.5)
        attention_output[0] = 0.0
        feed_forward_down[0] = 0.0
        weights |= {
            f"blk.{layer}.attn_norm.weight": ones,
            f"blk.{layer}.attn_q.weight": normal(N_EMBD, N_EMBD, N_EMBD**-0.5),
            f"blk.{layer}.attn_k.weight": normal(N_EMBD, N_EMBD, N_EMBD**-0.5),
            f"blk.{layer}.attn_v.weight": normal(N_EMBD, N_EMBD, N_EMBD**-0.5),
            f"blk.{layer}.attn_output.weight": attention_output,
            f"blk.{layer}.ffn_norm.weight": ones,
            f"blk.{layer}.ffn_gate.weight": normal(N_FF, N_EMBD, N_EMBD**-0.5),
            f"blk.{layer}.ffn_up.weight": normal(N_FF, N_EMBD, N_EMBD**-0.5),
            f"blk.{layer}.ffn_down.weight": feed_forward_down,
        }
    return weights


def write_tiny_model(path: Path, seed: int = 0) -> None:
    """Write a random llama model of about half a megabyte to a GGUF file.

    The same seed gives the same file.
    """
    tokens, types = vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny-random")
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(N_LAYERS)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(N_HEADS)
    writer.add_head_count_kv(N_HEADS)
    writer.add_rope_dimension_count(N_EMBD // N_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(types)
    writer.add_unk_token_id(UNK_ID)
    writer.add_bos_token_id(BOS_ID)
    writer.add_eos_token_id(EOS_ID)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    for name, tensor in random_weights(len(tokens), seed).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Write the model that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write_tiny_model(options.path, options.seed)


if __name__ == "__main__":
    main()
