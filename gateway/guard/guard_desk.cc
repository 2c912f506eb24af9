#include "gateway/guard/guard_desk.h"

#include <algorithm>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "gateway/guard/guard_text.h"

namespace tidegate::gateway {
namespace {

/// Replacements may be longer than what they stand for: a prompt of one-character matches would grow sixty-fold.
constexpr std::size_t kInputSpansMax = 10'000;

Error denied(const GuardDenial& denial, std::string_view field) {
  std::string message = denial.message;
  if (message.empty()) {
    message = "The request goes against this installation's policy on content (" + denial.category +
              "); change its text and send it again.";
  }
  return {Code::kInvalidArgument, "content_policy", std::move(message), std::string(field)};
}

Error too_much_masked(std::string_view field) {
  return {Code::kInvalidArgument, "request_too_large",
          "The policy on content replaces too much of this request's text (10,000 places, or 3,000,000 bytes with what "
          "replaces them); send less of it.",
          std::string(field)};
}

Error too_many_texts(std::string_view field) {
  return {Code::kInvalidArgument, "request_too_large",
          "The policy on content reads 8,192 texts of a request at most: messages, calls and tools together; send less.",
          std::string(field)};
}
static_assert(GuardLimits::kTextsMax == 8'192);

/// A plan's texts and where each is kept.
struct PlanTexts {
  std::vector<GuardText> texts;
  std::vector<std::string*> homes;

  void add(std::string_view role, std::string& home) {
    if (home.empty()) return;
    GuardText text;
    text.role = role;
    text.all = home;
    texts.push_back(text);
    homes.push_back(&home);
  }
};

PlanTexts texts_of(Plan& plan) {
  PlanTexts out;
  for (PlanTool& tool : plan.tools) {
    out.add("tools", tool.description);
    out.add("tools", tool.parameters);
  }
  out.add("format", plan.response_format.schema);
  for (PlanMessage& message : plan.messages) {
    out.add("reasoning", message.reasoning);
    out.add(role_name(message.role), message.content);
    for (ToolCall& call : message.tool_calls) {
      if (call.arguments.find('\\') != std::string::npos) call.arguments = spelled_out(call.arguments);
      out.add("call", call.arguments);
    }
  }
  for (PlanEmbedInput& input : plan.embed) out.add("input", input.text);
  if (plan.raw) {
    out.add("prompt", plan.raw->text);
    if (plan.raw->suffix) out.add("suffix", *plan.raw->suffix);
  }
  return out;
}

}  // namespace

std::optional<OnGuardFailure> parse_on_guard_failure(std::string_view word) {
  if (word == "open") return OnGuardFailure::kOpen;
  if (word == "closed") return OnGuardFailure::kClosed;
  return std::nullopt;
}

Status GuardDesk::check_readable(const Plan& plan) {
  if (plan.sampling.logprobs) {
    return fail(Code::kInvalidArgument, "unsupported_parameter",
                "'logprobs' is not supported where a policy on content is in force: the tokens would tell what it holds "
                "back; leave it out.",
                "logprobs");
  }
  const auto is_ids = [](const PlanEmbedInput& input) { return !input.tokens.empty(); };
  if (std::ranges::any_of(plan.embed, is_ids)) {
    return fail(Code::kInvalidArgument, "unsupported_parameter",
                "'input' of token ids is not supported where a policy on content is in force: it reads text; send text.",
                "input");
  }
  return {};
}

GuardSubject GuardDesk::subject_of(const RequestId& request, const Principal& principal, std::string model) {
  GuardSubject subject;
  subject.request = request;
  subject.tenant = principal.tenant;
  subject.tenant_name = principal.tenant_name;
  subject.project = principal.project;
  subject.model = std::move(model);
  return subject;
}

awaitable<Result<GuardVerdict>> GuardDesk::ask(const GuardCheck& check, Told& told) {
  const Mono began = clock_.mono();
  auto asking = guard_.check(check);
  Result<GuardVerdict> verdict = co_await std::move(asking);
  const asio::cancellation_state waiting = co_await asio::this_coro::cancellation_state;
  if (waiting.cancelled() != asio::cancellation_type::none) {
    co_return fail(Code::kCancelled, "guard_given_up", "Nobody waits for this verdict any more.");
  }
  if (verdict) {
    if (Status fits = check_verdict(*verdict, check); !fits) verdict = fail(std::move(fits).error());
  }
  metrics_.of(check.direction).seconds.observe(std::chrono::duration<double>(clock_.mono() - began).count());
  if (!verdict) co_return on_failure(check, verdict.error());
  count(check, *verdict);
  tell(check, *verdict, told);
  co_return verdict;
}

Result<GuardVerdict> GuardDesk::on_failure(const GuardCheck& check, const Error& error) {
  metrics_.of(check.direction).failures.add();
  const bool is_input = check.direction == GuardDirection::kInput;
  const bool is_closed = (is_input ? policy_.input : policy_.output) == OnGuardFailure::kClosed;
  log_.warn("guard_failed", {kv("request_id", check.subject.request.to_string()),
                             kv("direction", direction_name(check.direction)), kv("reason", error.reason),
                             kv("closed", is_closed)});
  if (!is_closed) return pass_verdict(check);
  return fail(Code::kUnavailable, "guard_unavailable",
              "The policy on content could not be asked, and nothing passes without it; send the request again.");
}

void GuardDesk::count(const GuardCheck& check, const GuardVerdict& verdict) {
  GuardMetrics::Side& side = metrics_.of(check.direction);
  if (verdict.denial) {
    side.denied.add();
  } else if (!verdict.spans.empty()) {
    side.masked.add();
  } else {
    side.passed.add();
  }
}

void GuardDesk::tell(const GuardCheck& check, const GuardVerdict& verdict, Told& told) {
  for (const GuardHit& hit : verdict.hits) {
    if (told.size() >= GuardLimits::kHitsMax || !told.insert(hit.rule).second) continue;
    log_.info("guard", {kv("request_id", check.subject.request.to_string()), kv("rule", hit.rule),
                        kv("direction", direction_name(check.direction)), kv("action", action_name(hit.action))});
  }
}

awaitable<std::optional<Refusal>> GuardDesk::check_input(const GuardSubject& subject, Plan& plan) {
  const std::string_view field = !plan.embed.empty() ? "input" : plan.raw ? "prompt" : "messages";
  PlanTexts texts = texts_of(plan);
  if (texts.texts.empty()) co_return std::nullopt;
  if (texts.texts.size() > GuardLimits::kTextsMax) co_return Refusal(too_many_texts(field));
  GuardCheck check{subject, GuardDirection::kInput, std::move(texts.texts), policy_.window_bytes};
  Told told;
  auto asking = ask(check, told);
  const Result<GuardVerdict> verdict = co_await std::move(asking);
  if (!verdict) co_return Refusal(verdict.error());
  if (verdict->denial) co_return Refusal(denied(*verdict->denial, field));
  if (verdict->spans.empty()) co_return std::nullopt;
  if (verdict->spans.size() > kInputSpansMax) co_return Refusal(too_much_masked(field));
  std::vector<std::string> masked;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < check.texts.size(); ++i) {
    masked.push_back(decided_text(*verdict, i, check.texts[i].piece()));
    bytes += masked.back().size();
  }
  if (bytes > static_cast<std::size_t>(PlanLimits::kPromptBytesMax)) co_return Refusal(too_much_masked(field));
  for (std::size_t i = 0; i < masked.size(); ++i) *texts.homes[i] = std::move(masked[i]);
  co_return std::nullopt;
}

}  // namespace tidegate::gateway
