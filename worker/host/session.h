#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/core/ids.h"
#include "base/core/result.h"
#include "worker/engine/engine.h"

/// What crosses between the engine thread and a gateway's Session stream, without gRPC. Units are those of
/// proto/tidegate/v1/worker.proto.
namespace tidegate::worker {

/// Minted by the session service, never reused within a process.
using SessionId = std::uint64_t;

struct StartCommand {
  std::uint64_t sequence = 0;         ///< the gateway's number, unique in its session
  RequestId request;                  ///< what the gateway bills it as
  std::vector<ChatMessage> messages;
  std::optional<RawPrompt> raw = {};  ///< instead of messages
  SamplingParams sampling;
  ToolOffer offer = {};
  std::optional<CacheSalt> cache_salt = {};
  std::vector<EmbedInput> embed = {};  ///< instead of messages: vectors of these
  bool collect = false;  ///< nobody reads the answer before its end
  Status encoded = {};  ///< what Engine::encode() said of `embed`; its error ends the sequence
  /// What Engine::compile() made of `offer`; its error ends the sequence.
  Result<std::shared_ptr<const grammar::Grammar>> constraint = {};
  std::chrono::milliseconds budget{0};  ///< what is left of the request's time; spent when not positive
};

struct SessionEvent {
  std::uint64_t sequence = 0;
  bool accepted = false;
  std::string reasoning;
  std::string content;
  ToolCallDeltas tool_calls;
  std::vector<TokenLogprob> logprobs;
  std::int32_t choice = 0;                    ///< of several answers; as engine.h
  std::optional<FinishReason> choice_finish;  ///< of several answers: how this one ended
  std::vector<float> embedding = {};          ///< of the input `choice`
  SequenceUsage usage;  ///< running totals
  std::optional<FinishReason> finish;
  std::string stop_text;  ///< finish == kStop because of a stop string: that string
  Error error;            ///< set when finish == kError
};

struct SessionFrame {
  std::int64_t step = 0;
  std::vector<SessionEvent> events;
  std::uint64_t credits_total = 0;
  bool draining = false;
  std::int32_t sequences_running = 0;
  std::int64_t tokens_queued = 0;  ///< estimate: of prompts that are not in the batch yet
  std::int64_t tokens_prefilling = 0;  ///< of prompts in the batch: not computed yet
  std::uint64_t starts_seen = 0;       ///< starts of this session that the numbers above include
};

enum class SendResult : std::uint8_t { kTaken, kFull, kClosed };

/// The writing half of one Session stream, as the engine thread sees it. The other side may close at any moment.
class SessionSink {
 public:
  virtual ~SessionSink() = default;
  /// Never blocks. On kFull the frame is left as it was, and offered again with later events merged into it.
  virtual SendResult try_send(SessionFrame& frame) = 0;
};

}  // namespace tidegate::worker
