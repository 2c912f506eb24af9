#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/ids.h"
#include "base/core/result.h"
#include "base/net/asio.h"

/// A policy on what goes into a model and what comes out, as the gateway needs it. Built in: adapters/pooled_guard.h.
/// Another process: adapters/remote_guard.h. Fake: tests/support/gateway/fake_guard.h.
namespace tidegate::gateway {

enum class GuardDirection : std::uint8_t { kInput, kOutput };
std::string_view direction_name(GuardDirection direction);

/// What a rule does where it matches.
enum class GuardAction : std::uint8_t { kLog, kMask, kDeny };
std::string_view action_name(GuardAction action);

/// Whose request it is. Made once a request.
struct GuardSubject {
  RequestId request;
  TenantId tenant;
  std::string tenant_name;
  ProjectId project;
  std::string model;
};

/// A text, or the next piece of one that goes on. Views of what the caller keeps until the check has returned.
struct GuardText {
  /// "system" | "user" | "assistant" | "tool" | "prompt" | "suffix" | "reasoning" | "answer" | "name" (of what a call
  /// of an answer runs) | "call" (its arguments) | "tools" (what is offered) | "format" (a schema of the answer): a literal
  std::string_view role;
  std::string_view all;   ///< valid UTF-8
  std::size_t origin = 0;  ///< where the piece begins: what stands before is decided, and there as context only
  bool is_last = true;     ///< nothing follows the piece

  std::string_view context() const { return all.substr(0, origin); }
  std::string_view piece() const { return all.substr(origin); }
};

struct GuardCheck {
  const GuardSubject& subject;
  GuardDirection direction;
  std::vector<GuardText> texts;
  std::size_t window_bytes = 0;  ///< a piece's undecided end may have kUndecidedWindowsMax times as many bytes
};

/// Bytes [begin, end) of a piece are handed over as `replacement`.
struct GuardSpan {
  std::size_t text = 0;  ///< place in GuardCheck::texts
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string replacement;
  bool operator==(const GuardSpan&) const = default;
};

struct GuardHit {
  std::string rule;
  GuardAction action = GuardAction::kLog;
  bool operator==(const GuardHit&) const = default;
};

struct GuardDenial {
  std::string category;  ///< the rule's name
  std::string message;   ///< for the client; empty: a sentence of the gateway's
  std::size_t text = 0;  ///< place in GuardCheck::texts; of later ones nothing is handed over
  bool operator==(const GuardDenial&) const = default;
};

struct GuardVerdict {
  /// Of decided bytes; by text, then by place; they do not overlap.
  std::vector<GuardSpan> spans;
  /// For each text the bytes of its piece that may be handed over, spans replaced. The rest is shown again, with what
  /// follows it. Everything, when the text is its last; up to what was denied, when something was.
  std::vector<std::size_t> decided;
  std::optional<GuardDenial> denial;
  std::vector<GuardHit> hits;  ///< rules that matched, each at most once
};

/// Lets everything through.
GuardVerdict pass_verdict(const GuardCheck& check);

struct GuardLimits {
  static constexpr std::size_t kUndecidedWindowsMax = 3;
  static constexpr std::size_t kRuleNameBytesMax = 64;
  static constexpr std::size_t kMessageBytesMax = 500;
  static constexpr std::size_t kReplacementBytesMax = 128;
  static constexpr std::size_t kHitsMax = 256;
  /// Of one check: a verdict from outside must not fail for their number, which clients choose.
  static constexpr std::size_t kTextsMax = 8'192;
};

/// Thread-safe: every io thread calls it.
class Guard {
 public:
  virtual ~Guard() = default;
  /// Within a time limit of its own. `check` lives until it returns. Fails: unavailable/..., deadline_exceeded/...,
  /// resource_exhausted/...: then nothing was decided.
  virtual awaitable<Result<GuardVerdict>> check(const GuardCheck& check) = 0;
  /// False: whatever the answer to this subject says, it passes. Nobody need ask.
  virtual bool reads_answers(const GuardSubject& /*subject*/) const { return true; }
  /// Another process decides, so that a check may take long: whoever asks looks at what happens meanwhile, and cancels.
  virtual bool asks_elsewhere() const { return true; }
};

}  // namespace tidegate::gateway
