#include "worker/external/external_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <utility>

#include "base/net/timer.h"
#include "worker/external/request_body.h"

namespace tidegate::worker::external {
namespace {

/// Of an answer that is no success: enough for its words.
constexpr std::size_t kRefusalBytesMax = 8192;
/// A step without news: the host looks at its deadlines by itself.
constexpr Duration kIdleStep = std::chrono::seconds(1);
constexpr Duration kProbeAtStart = std::chrono::milliseconds(500);
/// For connections to be closed; a name that is still being looked up may last longer.
constexpr auto kEndWithin = std::chrono::seconds(10);
/// Marks around a call that no text of it shows.
constexpr std::int64_t kTokensPerCall = 32;
/// Prompts without a tokenizer, for what is left of the context: as in the host, mixed scripts.
constexpr std::int64_t kBytesPerTokenGuessed = 3;
constexpr std::size_t kStopsMax = 16;
constexpr std::size_t kStopBytesMax = 1024;

Error timed_out(bool is_heard, Duration limit) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit).count();
  return {Code::kUnavailable, "upstream_timeout",
          fmt::format("the engine behind this model said nothing for {} s {}", seconds,
                      is_heard ? "in the middle of its answer" : "and never began its answer")};
}

/// Whether the error's message may hold words of the engine, which may repeat what it was asked.
bool quotes_engine(const Error& error) {
  return error.reason == "upstream_refused" || error.reason == "upstream_failed" || error.reason == "upstream_aborted";
}

}  // namespace

struct ExternalEngine::Call {
  Call(SequenceHandle handle_in, AnswerReader::Kind kind, std::string suffix, const TokenCounter& counter, Executor executor)
      : handle(handle_in), reader(kind, std::move(suffix)), content(counter), reasoning(counter), stop(std::move(executor)) {}

  const SequenceHandle handle;
  std::string path;
  std::string body;
  std::int32_t completion_max = 0;
  AnswerReader reader;
  RunningCount content;  ///< calls among it
  RunningCount reasoning;
  Event stop;
  int status = 0;
  std::string refusal;
  Mono asked_at{};
  Mono heard_at{};  ///< or asked
  bool is_heard = false;
  bool is_timed_out = false;
  bool is_unwanted = false;  ///< cancelled, or given up
  bool is_over = false;  ///< more was said than asked for
  bool is_ended = false;
  Status read;

  TokenRange completion() const {
    TokenRange range = content.range() + reasoning.range();
    range.most += kTokensPerCall * reader.calls();
    return range;
  }
};

struct ExternalEngine::Live {
  SequenceHandle handle = 0;
  RequestId request;
  std::string path;
  std::string body;
  std::string call_id_suffix;
  AnswerReader::Kind kind = AnswerReader::Kind::kChat;
  TokenRange prompt;
  std::int32_t completion_max = 0;
  std::shared_ptr<Call> call;  // shared with the coroutine that runs it; null: not asked yet
  bool accepted = false;
  bool finished = false;
  SequenceUsage told;
  std::optional<ReportedUsage> reported;  ///< the engine's newest word
};

ExternalEngine::ExternalEngine(ExternalOptions options, Upstream upstream, TokenCounter counter, const ExternalMetrics& metrics,
                               const Clock& clock, Log& log)
    : options_(std::move(options)),
      upstream_(std::move(upstream)),
      counter_(std::move(counter)),
      metrics_(metrics),
      clock_(clock),
      log_(log) {}

ExternalEngine::~ExternalEngine() {
  set_wake({});
  stopping_.set();
  for (const auto& live : live_) {
    if (live->call) live->call->stop.set();
  }
  {
    std::unique_lock lock(mutex_);
    calls_gone_.wait_for(lock, kEndWithin, [this] { return calls_open_ == 0; });
  }
  threads_.stop();
  live_.clear();  // their events belong to the thread's context
  metrics_.up.set(0);
}

Result<std::unique_ptr<ExternalEngine>> ExternalEngine::open(ExternalOptions options, const ExternalMetrics& metrics,
                                                             const Clock& clock, Log& log,
                                                             const std::function<bool()>& is_given_up) {
  TG_ASSIGN(Upstream upstream, Upstream::open(options.upstream, clock));
  TG_ASSIGN(TokenCounter counter, TokenCounter::open(options.tokenizer_dir, options.bytes_per_token_max));
  std::unique_ptr<ExternalEngine> engine(
      new ExternalEngine(std::move(options), std::move(upstream), std::move(counter), metrics, clock, log));
  ExternalEngine& self = *engine;
  if (self.upstream_.is_exposed()) {
    log.warn("external_plain_http",
             {kv("host", self.upstream_.host()),
              kv("why", "prompts, answers and the key of external.api_key_file cross the network unencrypted; use https with "
                        "external.ca_file, or a worker beside the engine")});
  }
  const auto wait = [&self, &is_given_up] { return self.become_healthy(is_given_up); };
  TG_TRY(self.threads_.run_on(0, wait));
  const auto look = [&self] { return self.upstream_.find_model(self.options_.model); };
  TG_ASSIGN(const UpstreamModel found, self.threads_.run_on(0, look));
  const std::int32_t context_max = self.options_.context_max > 0 ? self.options_.context_max : found.context_max.value_or(0);
  if (context_max <= 0) {
    return fail(Code::kInvalidArgument, "bad_config",
                "the engine does not say how long its context is; set external.context_max", "external.context_max");
  }
  const std::string_view kind = engine_kind_name(self.options_.kind);
  self.facts_.engine = "external";
  self.facts_.architecture = fmt::format("external:{}", kind);
  self.facts_.weights_digest = fmt::format("external:{}:{}", kind, self.options_.model);
  self.facts_.context_max = context_max;
  self.facts_.sequences_max = self.options_.sequences_max;
  self.facts_.kv_tokens_capacity = std::int64_t{context_max} * self.options_.sequences_max;
  self.facts_.abilities.penalties = true;
  self.facts_.abilities.logit_bias = true;
  self.facts_.abilities.count = self.counter_.has_template();
  metrics.up.set(1);
  return engine;
}

awaitable<Status> ExternalEngine::become_healthy(const std::function<bool()>& is_given_up) {
  const Deadline deadline = Deadline::after(clock_.mono(), options_.start_limit);
  bool is_told = false;
  while (true) {
    const Status health = co_await upstream_.check_health();
    if (health) co_return Status();
    if (is_given_up && is_given_up()) co_return fail(Code::kCancelled, "given_up", "stopped before the engine was healthy");
    if (deadline.is_expired(clock_.mono())) {
      co_return fail(Code::kUnavailable, "upstream_not_ready",
                     "the engine at external.url did not become healthy in time (external.start_limit_ms): " + health.error().message,
                     "external.url");
    }
    if (!std::exchange(is_told, true)) log_.info("external_waiting", {kv("why", health.error().message)});
    co_await sleep_for(std::min(options_.probe_every, kProbeAtStart));
  }
}

void ExternalEngine::watch_health(std::function<void(bool, const std::string&)> told) {
  enter();
  health_told_ = std::move(told);
  asio::co_spawn(threads_.context(0), probe(), abort_on_throw);
}

awaitable<void> ExternalEngine::probe() {
  using namespace asio::experimental::awaitable_operators;
  std::int32_t failures = 0;
  while (true) {
    const Deadline next = Deadline::after(clock_.mono(), options_.probe_every);
    if (co_await stopping_.wait_until(next)) break;
    auto checking = upstream_.check_health();
    auto stopped = stopping_.wait();
    const auto first = co_await (std::move(checking) || std::move(stopped));
    if (first.index() == 1) break;
    const Status& health = std::get<0>(first);
    failures = health ? 0 : failures + 1;
    if (health) {
      set_health(true, {});
    } else if (failures >= options_.probes_failed_max) {
      set_health(false, health.error().message);
    }
  }
  leave();
}

void ExternalEngine::set_health(bool is_up, const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(is_up_, is_up) == is_up) return;
  }
  metrics_.up.set(is_up ? 1 : 0);
  if (is_up) {
    log_.info("external_up");
  } else {
    log_.warn("external_down", {kv("why", why)});
  }
  if (health_told_) health_told_(is_up, why);
}

void ExternalEngine::set_wake(std::function<void()> wake) {
  const std::lock_guard lock(wake_mutex_);
  wake_ = std::move(wake);
}

void ExternalEngine::enter() {
  const std::lock_guard lock(mutex_);
  ++calls_open_;
}

void ExternalEngine::leave() {
  const std::lock_guard lock(mutex_);
  --calls_open_;
  calls_gone_.notify_all();
}

ExternalEngine::Live* ExternalEngine::find(SequenceHandle handle) const {
  for (const auto& live : live_) {
    if (live->handle == handle) return live.get();
  }
  return nullptr;
}

bool ExternalEngine::asks_totals() const {
  const bool has_them = options_.kind == EngineKind::kVllm || options_.kind == EngineKind::kSglang ||
                        options_.kind == EngineKind::kTensorrt;
  return has_them && options_.continuous_usage;
}

std::int32_t ExternalEngine::running() const {
  return static_cast<std::int32_t>(std::ranges::count_if(live_, [](const auto& live) { return live->call != nullptr; }));
}

Status ExternalEngine::submit(GenerateRequest request) {
  if (find(request.handle) != nullptr) {
    return fail(Code::kAlreadyExists, "handle_in_use", "a sequence with this handle is alive", "handle");
  }
  if (static_cast<std::int64_t>(live_.size()) >= std::int64_t{options_.sequences_max} + options_.waiting_max) {
    return fail(Code::kResourceExhausted, "engine_full", "every place in the batch and in its queue is taken");
  }
  {
    const std::lock_guard lock(mutex_);
    if (!is_up_) {
      return fail(Code::kUnavailable, "upstream_down",
                  "the engine behind this model is down; send the request again later");
    }
  }
  TG_TRY(check_request(request, options_.kind));
  if (request.sampling.stop.size() > kStopsMax) return invalid("out_of_range", "'stop' takes at most 16 strings", "stop");
  for (const std::string& stop : request.sampling.stop) {
    if (stop.empty() || stop.size() > kStopBytesMax) {
      return invalid("out_of_range", "each string of 'stop' must have 1 to 1024 bytes", "stop");
    }
  }
  auto live = std::make_unique<Live>();
  live->handle = request.handle;
  live->request = request.request;
  live->prompt = counter_.prompt(request);
  if (live->prompt.least >= facts_.context_max) {
    return invalid("context_length_exceeded",
                   fmt::format("the prompt takes at least {} tokens; this engine's context holds {} for prompt and answer",
                               live->prompt.least, facts_.context_max),
                   request.raw ? "prompt" : "messages");
  }
  const bool is_counted = live->prompt.least == live->prompt.most;
  const std::int64_t guessed = is_counted ? live->prompt.least + options_.tolerance.tokens
                                          : std::max(live->prompt.least, live->prompt.most / kBytesPerTokenGuessed);
  const auto room = static_cast<std::int32_t>(std::max<std::int64_t>(1, facts_.context_max - guessed));
  live->completion_max = request.sampling.max_tokens == 0 ? room : std::min(request.sampling.max_tokens, room);
  const BodyStyle style{.kind = options_.kind, .model = options_.model, .continuous_usage = asks_totals()};
  TG_ASSIGN(live->body, request_body(request, style, live->completion_max));
  live->kind = request.raw ? AnswerReader::Kind::kText : AnswerReader::Kind::kChat;
  live->path = request.raw ? "/completions" : "/chat/completions";
  live->call_id_suffix = request.call_id_suffix();
  live_.push_back(std::move(live));
  return {};
}

void ExternalEngine::begin(Live& live) {
  live.call = std::make_shared<Call>(live.handle, live.kind, live.call_id_suffix, counter_, threads_.executor(0));
  live.call->path = std::move(live.path);
  live.call->body = std::move(live.body);
  live.call->completion_max = live.completion_max;
  enter();
  asio::co_spawn(threads_.context(0), run(live.call), abort_on_throw);
}

awaitable<void> ExternalEngine::run(std::shared_ptr<Call> call) {
  using namespace asio::experimental::awaitable_operators;
  call->asked_at = call->heard_at = clock_.mono();
  auto asking = exchange(call);
  auto stopped = wait_for_stop(call);
  co_await (std::move(asking) || std::move(stopped));
  if (!call->is_ended && call->is_timed_out) {
    if (call->read && call->reader.finish()) {  // whole, as in exchange(): only the rest of its stream is lost
      end_well(*call, *call->reader.finish());
    } else {
      end_badly(*call, timed_out(call->is_heard, call->is_heard ? options_.silence_limit : options_.first_byte_limit));
    }
  }
  if (!call->is_ended) metrics_.ended("cancelled").add();
  leave();
}

awaitable<void> ExternalEngine::exchange(std::shared_ptr<Call> call) {
  BodySink sink = [this, taker = call.get()](int status, std::string_view bytes) { return on_bytes(*taker, status, bytes); };
  const auto answer = co_await upstream_.post(call->path, std::move(call->body), std::move(sink));
  if (call->is_unwanted) co_return;  // what the closed connection looks like from here is nobody's failure
  if (answer) call->status = answer->status;
  if (call->is_over) {
    end_well(*call, FinishReason::kLength);
  } else if (call->status == 200 && call->read && call->reader.finish()) {
    end_well(*call, *call->reader.finish());
  } else {
    end_badly(*call, failure_of(*call, answer));
  }
}

Error ExternalEngine::failure_of(const Call& call, const Result<HttpClientResponse>& answer) const {
  if (!call.read) return call.read.error();
  if (call.status == 0) {
    if (answer.error().reason == "upstream_unreachable") return answer.error();
    return {Code::kUnavailable, "upstream_unreachable",
            "the engine behind this model closed the connection without an answer: " + answer.error().message};
  }
  if (call.status != 200) return error_of_status(call.status, call.refusal);
  return {Code::kUnavailable, "upstream_cut", "the engine behind this model ended its answer in the middle; send the request again"};
}

awaitable<void> ExternalEngine::wait_for_stop(std::shared_ptr<Call> call) {
  while (true) {
    const Duration limit = call->is_heard ? options_.silence_limit : options_.first_byte_limit;
    // A first byte shortens the wait that is under way: it is looked at as often as the shorter limit asks.
    const Mono looked_at = std::min(call->heard_at + limit, clock_.mono() + std::min(limit, options_.silence_limit));
    if (co_await call->stop.wait_until(Deadline::at(looked_at))) break;
    const Duration now_limit = call->is_heard ? options_.silence_limit : options_.first_byte_limit;
    if (clock_.mono() - call->heard_at < now_limit) continue;
    call->is_timed_out = true;
    break;
  }
  call->is_unwanted = true;
}

bool ExternalEngine::on_bytes(Call& call, int status, std::string_view bytes) {
  call.status = status;
  call.heard_at = clock_.mono();
  if (!std::exchange(call.is_heard, true)) metrics_.first_byte_seconds.observe(in_seconds(call.heard_at - call.asked_at));
  if (status != 200) {
    call.refusal += bytes.substr(0, kRefusalBytesMax - call.refusal.size());
    return call.refusal.size() < kRefusalBytesMax;
  }
  Progress update;
  update.is_opened = true;
  call.read = call.reader.feed(bytes, update.piece);
  call.reasoning.add(update.piece.reasoning);
  call.content.add(update.piece.content);
  for (const ToolCallDelta& piece : update.piece.calls) {
    call.content.add(piece.name);
    call.content.add(piece.arguments);
  }
  hand_over(call, std::move(update));
  // An engine that does not keep to max_tokens is stopped here: nobody pays for more.
  call.is_over = completion_floor(call.completion(), options_.tolerance) > call.completion_max + options_.tolerance.tokens;
  return call.read && !call.is_over && !call.reader.is_done();
}

void ExternalEngine::end_well(Call& call, FinishReason finish) {
  call.is_ended = true;
  metrics_.ended("done").add();
  Progress update;
  update.is_opened = true;
  update.finish = finish;
  update.stop_text = call.reader.stop_text();
  hand_over(call, std::move(update));
}

void ExternalEngine::end_badly(Call& call, Error error) {
  call.is_ended = true;
  metrics_.ended(error.reason).add();
  log_.warn("external_request_failed", {kv("reason", error.reason), kv("status", call.status),
                                        kv("message", quotes_engine(error) ? std::string() : error.message)});
  // Where the engine is, clients need not know.
  if (error.reason == "upstream_unreachable") {
    error.message = "the engine behind this model cannot be reached; send the request again later";
  }
  Progress update;
  update.finish = FinishReason::kError;
  update.error = std::move(error);
  hand_over(call, std::move(update));
}

void ExternalEngine::hand_over(const Call& call, Progress update) {
  {
    const std::lock_guard lock(mutex_);
    Progress& waiting = inbox_[call.handle];
    waiting.is_opened = waiting.is_opened || update.is_opened;
    waiting.piece.reasoning += update.piece.reasoning;
    waiting.piece.content += update.piece.content;
    append_calls(waiting.piece.calls, std::move(update.piece.calls));
    if (update.piece.usage) waiting.piece.usage = update.piece.usage;
    waiting.completion = call.completion();
    waiting.reasoning = call.reasoning.range();
    if (update.finish) {
      waiting.finish = update.finish;
      waiting.stop_text = std::move(update.stop_text);
      waiting.error = std::move(update.error);
    }
    if (std::exchange(has_news_, true)) return;
  }
  const std::lock_guard lock(wake_mutex_);
  if (wake_) wake_();
}

std::optional<Mono> ExternalEngine::next_step_at() const {
  if (!cancels_.empty()) return Mono();
  if (running() < std::min(options_.sequences_max, static_cast<std::int32_t>(live_.size()))) return Mono();
  {
    const std::lock_guard lock(mutex_);
    if (has_news_) return Mono();
  }
  return clock_.mono() + kIdleStep;
}

std::vector<SequenceEvent> ExternalEngine::step() {
  ++load_.steps_total;
  std::vector<SequenceEvent> events;
  for (const SequenceHandle handle : std::exchange(cancels_, {})) {
    Live* live = find(handle);
    if (live == nullptr || live->finished) continue;
    if (live->call) live->call->stop.set();
    live->finished = true;
    events.push_back({.handle = handle, .usage = live->told, .finish = FinishReason::kCancelled});
  }
  std::unordered_map<SequenceHandle, Progress> news;
  {
    const std::lock_guard lock(mutex_);
    news.swap(inbox_);
    has_news_ = false;
  }
  for (const auto& live : live_) {
    const auto found = news.find(live->handle);
    if (found != news.end() && !live->finished) apply(*live, std::move(found->second), events);
  }
  std::erase_if(live_, [](const auto& live) { return live->finished; });
  std::int32_t room = options_.sequences_max - running();
  for (const auto& live : live_) {
    if (room <= 0) break;
    if (live->call) continue;
    begin(*live);
    --room;
  }
  return events;
}

void ExternalEngine::apply(Live& live, Progress progress, std::vector<SequenceEvent>& events) {
  if (progress.piece.usage) live.reported = progress.piece.usage;
  // An engine that sends totals with every chunk says with the first what the prompt took: worth waiting for.
  const bool is_due = !asks_totals() || live.reported || progress.piece.has_text() || progress.finish;
  if (progress.is_opened && is_due && !live.accepted) {
    live.accepted = true;
    const auto reported = live.reported ? live.reported->prompt : std::nullopt;
    live.told.prompt_tokens = accepted_prompt(reported, live.prompt, options_.tolerance);
    const std::int64_t cached = live.reported ? live.reported->cached.value_or(0) : 0;
    live.told.cached_tokens = static_cast<std::int32_t>(std::min<std::int64_t>(cached, live.told.prompt_tokens - 1));
    load_.prompt_tokens_total += live.told.prompt_tokens;
    load_.cached_tokens_total += live.told.cached_tokens;
    events.push_back({.handle = live.handle, .accepted = true, .usage = live.told});
  }
  const SequenceUsage before = live.told;
  SequenceEvent event{.handle = live.handle};
  event.reasoning = std::move(progress.piece.reasoning);
  event.content = std::move(progress.piece.content);
  event.tool_calls = std::move(progress.piece.calls);
  const bool ends_well = progress.finish && *progress.finish != FinishReason::kError;
  if (ends_well) {
    settle(live, progress);
  } else if (live.accepted) {
    const CountedUsage counted{.prompt = live.prompt, .completion = progress.completion, .reasoning = progress.reasoning};
    if (asks_totals() && live.reported) {
      live.told = check_usage(live.reported, counted, options_.tolerance, live.told, live.completion_max).usage;
    } else {
      const std::int32_t least = std::min(live.completion_max, completion_floor(counted.completion, options_.tolerance));
      live.told.completion_tokens = std::max(live.told.completion_tokens, least);
      live.told.reasoning_tokens =
          std::min(live.told.completion_tokens,
                   std::max(live.told.reasoning_tokens, completion_floor(counted.reasoning, options_.tolerance)));
    }
  }
  event.usage = live.told;
  event.finish = progress.finish;
  event.stop_text = std::move(progress.stop_text);
  event.error = std::move(progress.error);
  live.finished = progress.finish.has_value();
  load_.prompt_tokens_total += live.told.prompt_tokens - before.prompt_tokens;
  load_.cached_tokens_total += live.told.cached_tokens - before.cached_tokens;
  load_.completion_tokens_total += live.told.completion_tokens - before.completion_tokens;
  const bool has_text = !event.reasoning.empty() || !event.content.empty() || !event.tool_calls.empty();
  if (has_text || event.finish) events.push_back(std::move(event));
}

void ExternalEngine::settle(Live& live, const Progress& progress) {
  const CountedUsage counted{.prompt = live.prompt, .completion = progress.completion, .reasoning = progress.reasoning};
  const CheckedUsage checked = check_usage(live.reported, counted, options_.tolerance, live.told, live.completion_max);
  live.told = checked.usage;
  metrics_.checked(checked.worse()).add();
  if (checked.worse() == UsageVerdict::kAgrees) return;
  const ReportedUsage word = live.reported.value_or(ReportedUsage());
  log_.warn("external_usage_disagrees",
            {kv("request_id", live.request.to_string()), kv("prompt", verdict_name(checked.prompt)),
             kv("completion", verdict_name(checked.completion)), kv("prompt_reported", word.prompt.value_or(-1)),
             kv("prompt_counted_least", counted.prompt.least), kv("prompt_counted_most", counted.prompt.most),
             kv("completion_reported", word.completion.value_or(-1)), kv("completion_counted_least", counted.completion.least),
             kv("completion_counted_most", counted.completion.most), kv("prompt_billed", live.told.prompt_tokens),
             kv("completion_billed", live.told.completion_tokens)});
}

Result<std::int32_t> ExternalEngine::count_prompt(const GenerateRequest& request) const {
  if (!counter_.has_template()) {
    return fail(Code::kUnimplemented, "count_unsupported",
                "prompts of this model are not counted here: its worker has no tokenizer (external.tokenizer_dir)");
  }
  return static_cast<std::int32_t>(std::min<std::int64_t>(counter_.prompt(request).least, std::int64_t{1} << 30));
}

EngineLoad ExternalEngine::load() const {
  EngineLoad load = load_;
  load.sequences_running = running();
  load.sequences_waiting = static_cast<std::int32_t>(live_.size()) - load.sequences_running;
  for (const auto& live : live_) {
    if (live->accepted) load.kv_tokens_used += live->told.prompt_tokens + live->told.completion_tokens;
  }
  return load;
}

}  // namespace tidegate::worker::external
