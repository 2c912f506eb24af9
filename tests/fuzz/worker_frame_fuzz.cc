// A frame as a worker sends it, up to what is handed to the client and billed.
//
// Input: a byte of choice, then a serialised WorkerFrame.
#include <google/protobuf/stubs/logging.h>

#include <optional>
#include <string>

#include "gateway/core/request_flow.h"
#include "gateway/dispatch/session_codec.h"
#include "tests/fuzz/input.h"

namespace tidegate::gateway {
namespace {

void claim_delta(const SequenceDelta& delta) {
  TG_CLAIM("text from a worker is UTF-8",
           is_valid_utf8(delta.reasoning) && is_valid_utf8(delta.content) && is_valid_utf8(delta.stop_text));
  for (const ToolCallDelta& call : delta.tool_calls) {
    TG_CLAIM("calls from a worker are UTF-8",
             is_valid_utf8(call.id) && is_valid_utf8(call.name) && is_valid_utf8(call.arguments));
  }
  TG_CLAIM("only the gateway's guard filters", delta.end != SequenceEnd::kFiltered);
  const bool is_error = delta.end == SequenceEnd::kError;
  TG_CLAIM("only a failed end has an error", is_error || delta.error == Error());
  if (is_error) {
    TG_CLAIM("a worker's error can be answered", to_api_error(delta.error).http_status >= 400);
    TG_CLAIM("its words are UTF-8", is_valid_utf8(delta.error.message) && is_valid_utf8(delta.error.field));
  }
}

/// One request that hears every event of the frame.
class Heard {
 public:
  explicit Heard(bool is_stream) : flow_(is_stream) {
    perform(flow_.on_checked(std::nullopt));
    perform(flow_.on_admitted({}));
    perform(flow_.on_dispatched());
  }

  void hear(const SequenceDelta& delta) {
    const TokenUsage before = flow_.usage();
    const bool was_open = flow_.phase() == FlowPhase::kStarting || flow_.phase() == FlowPhase::kStreaming;
    perform(flow_.on_worker_event(
        {.accepted = delta.accepted,
         .has_text = !delta.content.empty() || !delta.reasoning.empty() || !delta.tool_calls.empty(),
         .usage = delta.usage,
         .end = delta.end,
         .error = delta.error}));
    if (!was_open) TG_CLAIM("what is over does not change", flow_.usage() == before);
    const TokenUsage& usage = flow_.usage();
    TG_CLAIM("what is billed fits", usage.cached >= 0 && usage.cached <= usage.prompt && usage.reasoning >= 0 &&
                                        usage.reasoning <= usage.completion);
  }

  void end() {
    perform(flow_.on_client_gone());
    TG_CLAIM("an admitted request is settled once and has one last action", settles_ == 1 && lasts_ == 1);
    TG_CLAIM("it is over", flow_.is_done());
  }

 private:
  void perform(const FlowActions& actions) {
    for (const FlowAction action : actions) {
      TG_CLAIM("nothing follows the last action", lasts_ == 0);
      switch (action) {
        case FlowAction::kSettle:
          ++settles_;
          perform(flow_.on_settled({}));
          break;
        case FlowAction::kReplyFinal:
          TG_CLAIM("a whole answer has a prompt", flow_.usage().prompt > 0);
          ++lasts_;
          break;
        case FlowAction::kReplyError:
        case FlowAction::kClose:
          ++lasts_;
          break;
        case FlowAction::kAdmit:
        case FlowAction::kEnqueue:
        case FlowAction::kLeaveWorker:
        case FlowAction::kReportAccepted:
        case FlowAction::kReportProgress:
        case FlowAction::kDeliver:
          break;
      }
    }
  }

  RequestFlow flow_;
  int settles_ = 0;
  int lasts_ = 0;
};

}  // namespace
}  // namespace tidegate::gateway

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tidegate;
  using namespace tidegate::gateway;
  // One line of log for every string that is no UTF-8 would be most of the work.
  [[maybe_unused]] static const auto kLouder = google::protobuf::SetLogHandler(nullptr);
  fuzz::Input input(data, size);
  const bool is_stream = input.flag();
  const std::string_view bytes = input.rest();
  v1::WorkerFrame frame;
  if (!frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return 0;
  Heard heard(is_stream);
  for (auto& event : *frame.mutable_events()) {
    const SequenceDelta delta = decode_event(std::move(event));
    claim_delta(delta);
    heard.hear(delta);
  }
  heard.end();
  return 0;
}
