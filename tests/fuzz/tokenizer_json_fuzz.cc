// tokenizer.json, tokenizer_config.json and text under them.
//
// Input: a byte of choice, a byte of length and so much text, a byte of length and so much of a tokenizer_config.json, then a
// tokenizer.json. With the choice's first bit set the 256 bytes that a vocabulary needs are put into it where it lacks them: no search
// would write them. With its second bit too, only those that UTF-8 can hold.
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/core/encoding.h"
#include "base/json/json.h"
#include "tests/fuzz/file_claims.h"
#include "worker/tokenizer/byte_map.h"
#include "worker/tokenizer/chat_template.h"
#include "worker/tokenizer/tokenizer.h"

namespace {

using namespace tidegate;
using namespace tidegate::worker;

const std::vector<std::string>& alphabet() {
  static const std::vector<std::string> kSpellings = [] {
    std::vector<std::string> out;
    for (int byte = 0; byte < 256; ++byte) out.push_back(spelling_of_bytes(std::string(1, static_cast<char>(byte))));
    return out;
  }();
  return kSpellings;
}

bool occurs_in_text(std::size_t byte) { return byte != 0xC0 && byte != 0xC1 && byte < 0xF5; }

std::string with_alphabet(std::string_view text, bool is_whole) {
  auto document = json::parse(text);
  if (!document || !document->is_object()) return std::string(text);
  json::value* model = document->get_object().if_contains("model");
  if (model == nullptr || !model->is_object()) return std::string(text);
  json::value& vocab = model->get_object()["vocab"];
  if (!vocab.is_object()) vocab = json::object();
  json::object& tokens = vocab.get_object();
  tokens.reserve(tokens.size() + 256);
  std::int64_t id = 1000;
  for (std::size_t byte = 0; byte < alphabet().size(); ++byte) {
    if (is_whole || occurs_in_text(byte)) tokens.emplace(alphabet()[byte], id++);  // no change where it is there
  }
  return json::serialize(*document);
}

void claim_text(const TokenizerFile& file, const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<TokenId> ids = tokenizer.encode(text, AddedTokens::kRefuse);
  for (const TokenId id : ids) {
    TG_CLAIM("text has the ids of tokens", id >= 0 && id < tokenizer.vocab_limit() && !tokenizer.token_bytes(id).empty());
    TG_CLAIM("no text becomes a control token", !tokenizer.is_control(id));
  }
  TG_CLAIM("tokens are as long as is said", ids.size() * tokenizer.token_bytes_max() >= text.size());
  // What is composed first comes back composed; a byte that no UTF-8 holds may lack its token.
  if (!file.nfc && (tokenizer.has_every_byte() || is_valid_utf8(text))) {
    TG_CLAIM("text comes back as it was", tokenizer.decode(ids) == text);
    TG_CLAIM("with control tokens too",
             tokenizer.decode(tokenizer.encode(text, AddedTokens::kAllow), ControlText::kKeep) == text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t choice = input.byte();
  const bool has_alphabet = (choice & 1) != 0;
  const std::string_view text = input.piece();
  const std::string_view config = input.piece();
  const std::string_view given = input.rest();
  const std::string content = has_alphabet ? with_alphabet(given, (choice & 2) == 0) : std::string(given);

  const fuzz::LargestAllocation largest;
  const auto file = parse_tokenizer_file(content);
  // Boost.JSON keeps 16 to 24 bytes of a value, and its list may double.
  TG_CLAIM("memory is in proportion to the file", largest.is_within(content.size(), 64));
  if (!file) {
    TG_CLAIM("a broken file is a wrong argument", file.error().code == Code::kInvalidArgument);
    fuzz::claim_clear(file.error());
    return 0;
  }
  const auto tokenizer = Tokenizer::build(*file);
  // A table of tokens and one of merges, each with the room that tokenizer.h and bpe.h state.
  TG_CLAIM("ids ask for no more than the file can hold", largest.is_within(content.size(), 256));
  if (!tokenizer) {
    TG_CLAIM("a refused vocabulary names its field",
             tokenizer.error().reason == "tokenizer_unsupported" && !tokenizer.error().field.empty());
    fuzz::claim_clear(tokenizer.error());
    return 0;
  }
  claim_text(*file, *tokenizer, text);

  const auto chat = ChatTemplate::of_config(config, *tokenizer);
  if (!chat) {
    TG_CLAIM("a broken template is a wrong argument", chat.error().code == Code::kInvalidArgument);
    fuzz::claim_clear(chat.error());
    return 0;
  }
  const auto controls = [&](std::string content_of_user) {
    const std::vector<ChatMessage> messages = {{Role::kUser, std::move(content_of_user)}};
    const std::vector<TokenId> ids = chat->encode(messages);
    return std::count_if(ids.begin(), ids.end(), [&](TokenId id) { return tokenizer->is_control(id); });
  };
  TG_CLAIM("no message forges a turn", controls(std::string(text)) == controls("x"));
  return 0;
}
