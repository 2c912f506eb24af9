#include "gateway/http/completion_answer.h"

#include <string_view>
#include <utility>

#include "gateway/http/json_text.h"
#include "gateway/http/openai_answer.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kIdPrefix = "cmpl-";
constexpr std::string_view kObject = "text_completion";

class CompletionForm final : public AnswerForm {
 public:
  CompletionForm(bool include_usage, std::string echo) : include_usage_(include_usage), echo_(std::move(echo)) {}

  void append_start(std::string& out, const AnswerHead& head) override {
    head_ = "data: {";
    append_openai_identity(head_, head, kIdPrefix, kObject);
    append_json_text(variant_, head.variant);
    if (!echo_.empty()) append_chunk(out, echo_, {});
  }
  void append_text(std::string& out, std::string_view, std::string_view content) const override {
    if (!content.empty()) append_chunk(out, content, {});
  }
  void append_finish(std::string& out, std::string_view finish_reason) const override {
    append_chunk(out, {}, finish_reason);
  }
  void append_usage(std::string& out, const TokenUsage& usage, const Settlement& settlement) const override {
    append_usage_event(out, head_, variant_, include_usage_, usage, settlement);
  }
  std::string whole(const AnswerHead& head, const AnswerEnd& end) const override {
    std::string out;
    out.reserve(1'024 + echo_.size() + end.content.size());
    out += '{';
    append_openai_identity(out, head, kIdPrefix, kObject);
    out += R"(,"variant":)";
    append_json_text(out, head.variant);
    out += R"(,"choices":[{"text":)";
    append_json_text(out, echo_ + end.content);
    append_rest(out, end.finish_reason);
    out += R"(],"usage":)";
    append_openai_usage(out, end.usage, end.settlement);
    append_receipt_member(out, end.settlement);
    out += '}';
    return out;
  }

 private:
  /// An empty `finish_reason` is none. The last chunk names the variant.
  void append_chunk(std::string& out, std::string_view text, std::string_view finish_reason) const {
    out += head_;
    if (!finish_reason.empty()) {
      out += R"(,"variant":)";
      out += variant_;
    }
    out += R"(,"choices":[{"text":)";
    append_json_text(out, text);
    append_rest(out, finish_reason);
    out += include_usage_ ? "],\"usage\":null}\n\n" : "]}\n\n";
  }
  static void append_rest(std::string& out, std::string_view finish_reason) {
    out += R"(,"index":0,"logprobs":null,"finish_reason":)";
    if (finish_reason.empty()) {
      out += "null";
    } else {
      append_json_text(out, finish_reason);
    }
    out += '}';
  }

  const bool include_usage_;
  const std::string echo_;
  std::string head_;     ///< data: {"id":...,"system_fingerprint":"...", from append_start on
  std::string variant_;  ///< JSON text
};

}  // namespace

std::unique_ptr<AnswerForm> make_completion_form(bool include_usage, std::string echo) {
  return std::make_unique<CompletionForm>(include_usage, std::move(echo));
}

}  // namespace tidegate::gateway
