// An answer kept under an idempotency key, as it comes back from Redis.
//
// Input: a byte of choice; then stored bytes, or the parts of an answer.
#include "gateway/core/stored_answer.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tidegate;
  using namespace tidegate::gateway;
  fuzz::Input input(data, size);
  if (!input.flag()) {
    const std::string_view bytes = input.rest();
    const auto answer = decode_answer(bytes);
    if (answer) {
      TG_CLAIM("one answer has one encoding", encode_answer(*answer) == bytes);
      TG_CLAIM("a status can be sent", answer->status >= 200 && answer->status <= 599);
    } else {
      TG_CLAIM("foreign bytes are lost data", answer.error().code == Code::kDataLoss);
    }
    return 0;
  }
  StoredAnswer answer;
  answer.status = static_cast<int>(200 + input.number(2) % 400);
  answer.is_stream = input.flag();
  answer.content_type = std::string(input.piece());
  const std::size_t headers = input.below(8);
  for (std::size_t i = 0; i < headers; ++i) {
    std::string name(input.piece());
    answer.headers.emplace_back(std::move(name), std::string(input.piece()));
  }
  const std::size_t cut = input.below(64);
  answer.body = std::string(input.rest());
  const std::string bytes = encode_answer(answer);
  const auto read = decode_answer(bytes);
  TG_CLAIM("an answer comes back as it was", read && *read == answer);
  if (cut > 0) {
    TG_CLAIM("a cut answer is refused",
             !decode_answer(std::string_view(bytes).substr(0, bytes.size() - std::min(cut, bytes.size()))));
  }
  TG_CLAIM("a longer one too", !decode_answer(bytes + '\0'));
  return 0;
}
