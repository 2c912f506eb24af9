#include "worker/tokenizer/raw_template.h"

namespace tidegate::worker {
namespace {

constexpr std::string_view kFillBegin = "<｜fim▁begin｜>";
constexpr std::string_view kFillHole = "<｜fim▁hole｜>";
constexpr std::string_view kFillEnd = "<｜fim▁end｜>";

}  // namespace

RawTemplate::RawTemplate(const Tokenizer& tokenizer, TokenId bos) : tokenizer_(&tokenizer), bos_(bos) {
  const auto begin = tokenizer.control_id(kFillBegin);
  const auto hole = tokenizer.control_id(kFillHole);
  const auto end = tokenizer.control_id(kFillEnd);
  if (begin && hole && end) fill_ = FillTokens{*begin, *hole, *end};
}

Result<std::vector<TokenId>> RawTemplate::encode(const RawPrompt& prompt) const {
  std::vector<TokenId> ids = {bos_};
  if (!prompt.suffix) {
    append(prompt.text, ids);
    return ids;
  }
  if (!fill_) {
    return fail(
        Code::kInvalidArgument, "unsupported_parameter",
        "'suffix' is not supported by this model: its vocabulary has no tokens to fill in the middle; leave it out.",
        "suffix");
  }
  ids.push_back(fill_->begin);
  append(prompt.text, ids);
  ids.push_back(fill_->hole);
  append(*prompt.suffix, ids);
  ids.push_back(fill_->end);
  return ids;
}

void RawTemplate::append(std::string_view text, std::vector<TokenId>& ids) const {
  const auto text_ids = tokenizer_->encode(text, AddedTokens::kRefuse);
  ids.insert(ids.end(), text_ids.begin(), text_ids.end());
}

}  // namespace tidegate::worker
