#include "worker/host/engine_host.h"

#include <algorithm>
#include <utility>

namespace tidegate::worker {

namespace {

// Mixed scripts cost about three bytes a token; only routing reads the sum, and only until the prompt is accepted.
constexpr std::int64_t kBytesPerTokenEstimated = 3;

/// A session that runs nothing here is told of work ahead when it has changed by so much: else its gateway would send
/// the next prompt by what was true long ago.
constexpr std::int64_t kLoadStepTokens = 2'048;

/// What nobody reads yet is told this often: a gateway that stops knows the usage to so many tokens, as it does of a stream.
constexpr std::int64_t kCollectTokens = 64;
constexpr Duration kCollectFor = std::chrono::milliseconds(250);

bool has_moved(std::int64_t told, std::int64_t now) {
  return std::max(told, now) - std::min(told, now) > std::max(kLoadStepTokens, told / 4);
}

std::int64_t estimate_prompt_tokens(const StartCommand& command) {
  std::size_t bytes = command.raw ? command.raw->bytes() : 0;
  for (const ChatMessage& message : command.messages) {
    bytes += message.content.size() + message.reasoning.size();
    for (const ToolCall& call : message.tool_calls) bytes += call.name.size() + call.arguments.size();
  }
  for (const EmbedInput& input : command.embed) {
    bytes += input.text.size() + input.tokens.size() * static_cast<std::size_t>(kBytesPerTokenEstimated);
  }
  for (const ToolSpec& tool : command.offer.open()) {
    bytes += tool.name.size() + tool.description.size() + tool.parameters.size();
  }
  return static_cast<std::int64_t>(bytes) / kBytesPerTokenEstimated + 1;
}

}  // namespace

EngineHost::EngineHost(Engine& engine, const WorkerMetrics& metrics, Log& log, HostLimits limits, UsageMeter* meter)
    : engine_(engine), metrics_(metrics), log_(log), limits_(limits), meter_(meter) {
  metrics_.sequences_max.set(engine_.facts().sequences_max);
  metrics_.kv_tokens_capacity.set(static_cast<double>(engine_.facts().kv_tokens_capacity));
}

void EngineHost::attach(SessionId id, std::shared_ptr<SessionSink> sink) {
  Session& session = sessions_[id];
  session.id = id;
  session.sink = std::move(sink);
}

void EngineHost::refuse(Session& session, std::uint64_t sequence, Error error) {
  metrics_.finished_error.add();
  SessionEvent event;
  event.sequence = sequence;
  event.finish = FinishReason::kError;
  event.error = std::move(error);
  session.outbox.add(std::move(event));
}

void EngineHost::start(SessionId id, StartCommand command, Mono now) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;  // broke while the command was on its way
  Session& session = found->second;
  metrics_.sequences_started.add();
  const std::uint64_t number = command.sequence;
  if (session.seat.outstanding() == 0) {
    return refuse(session, number,
                  Error(Code::kResourceExhausted, "no_credit", "the session has no credit for another sequence"));
  }
  ++session.seat.started_total;
  if (session.handle_of_sequence.contains(number)) {
    return refuse(session, number, Error(Code::kAlreadyExists, "sequence_in_use",
                                         "a sequence of this number is running in the session", "sequence"));
  }
  if (command.budget <= std::chrono::milliseconds::zero()) {
    return refuse(session, number, Error(Code::kDeadlineExceeded, "budget_spent",
                                         "the request's time was spent before it reached the engine", "budget_ms"));
  }
  if (!command.encoded) return refuse(session, number, std::move(command.encoded).error());
  if (!command.constraint) return refuse(session, number, std::move(command.constraint).error());
  const SequenceHandle handle = ++last_handle_;
  Sequence sequence{.session = id, .number = number, .request = command.request, .deadline = Deadline::after(now, command.budget)};
  sequence.prompt_tokens_estimated = estimate_prompt_tokens(command);
  sequence.collects = command.collect && command.sampling.n == 1 && command.embed.empty();
  sequence.places = std::max(1, command.sampling.n);
  GenerateRequest request{.handle = handle,
                          .messages = std::move(command.messages),
                          .raw = std::move(command.raw),
                          .sampling = std::move(command.sampling),
                          .offer = std::move(command.offer),
                          .request = command.request,
                          .cache_salt = command.cache_salt,
                          .embed = std::move(command.embed),
                          .constraint = *std::move(command.constraint)};
  if (Status taken = engine_.submit(std::move(request)); !taken) {
    return refuse(session, number, std::move(taken).error());
  }
  sequence.expiry = expiries_.emplace(sequence.deadline.instant(), handle);
  tokens_queued_ += sequence.prompt_tokens_estimated;
  places_ += sequence.places;
  session.handle_of_sequence.emplace(number, handle);
  sequences_.emplace(handle, sequence);
}

void EngineHost::cancel(SessionId id, std::uint64_t number) {
  const auto session = sessions_.find(id);
  if (session == sessions_.end()) return;
  const auto handle = session->second.handle_of_sequence.find(number);
  if (handle == session->second.handle_of_sequence.end()) return;
  engine_.cancel(handle->second);
}

void EngineHost::detach(SessionId id) {
  const auto session = sessions_.find(id);
  if (session == sessions_.end()) return;
  for (const auto& [number, handle] : session->second.handle_of_sequence) {
    engine_.cancel(handle);
    metrics_.cancelled_session.add();
  }
  sessions_.erase(session);
}

void EngineHost::reject(SessionId id, std::uint64_t sequence, Error error) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  if (session.seat.outstanding() > 0) ++session.seat.started_total;
  refuse(session, sequence, std::move(error));
}

void EngineHost::tell_count(SessionId id, std::uint64_t sequence, const Result<std::int32_t>& prompt_tokens) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  SessionEvent event;
  event.sequence = sequence;
  if (prompt_tokens) {
    event.accepted = true;
    event.usage.prompt_tokens = *prompt_tokens;
    event.finish = FinishReason::kStop;
  } else {
    event.finish = FinishReason::kError;
    event.error = prompt_tokens.error();
  }
  found->second.outbox.add(std::move(event));
}

void EngineHost::drain() {
  if (std::exchange(draining_, true)) return;
  log_.info("drain_started", {kv("sequences", live()), kv("sessions", sessions())});
  for (auto& [id, session] : sessions_) session.is_due = true;
}

void EngineHost::cancel_all() {
  for (const auto& [handle, sequence] : sequences_) engine_.cancel(handle);
}

void EngineHost::expire(Mono now) {
  while (!expiries_.empty() && expiries_.begin()->first <= now) {
    const SequenceHandle handle = expiries_.begin()->second;
    expiries_.erase(expiries_.begin());
    Sequence& sequence = sequences_.at(handle);
    sequence.expiry = expiries_.end();
    sequence.ending = Ending::kBudgetSpent;
    metrics_.cancelled_budget.add();
    engine_.cancel(handle);
  }
}

void EngineHost::finish(SequenceHandle handle, const Sequence& sequence) {
  if (sequence.expiry != expiries_.end()) expiries_.erase(sequence.expiry);
  if (!sequence.accepted) tokens_queued_ -= sequence.prompt_tokens_estimated;
  places_ -= sequence.places;
  const auto session = sessions_.find(sequence.session);
  if (session != sessions_.end()) session->second.handle_of_sequence.erase(sequence.number);
  sequences_.erase(handle);
}

std::optional<SessionEvent> EngineHost::collect(Sequence& sequence, SessionEvent event, Mono now) {
  if (!sequence.collects) return event;
  // Also one without text: it may be half a character, and says that the prompt is read.
  const bool is_first_token = sequence.tokens_told == 0 && event.usage.completion_tokens > 0;
  const bool is_due = event.accepted || event.finish || is_first_token || now - sequence.told_at >= kCollectFor ||
                      event.usage.completion_tokens - sequence.tokens_told >= kCollectTokens;
  if (sequence.held) {
    merge(*sequence.held, std::move(event));
  } else {
    sequence.held = std::move(event);
  }
  if (!is_due) return std::nullopt;
  sequence.tokens_told = sequence.held->usage.completion_tokens;
  sequence.told_at = now;
  return std::exchange(sequence.held, std::nullopt);
}

void EngineHost::route(SequenceEvent event, Mono now) {
  const auto found = sequences_.find(event.handle);
  if (found == sequences_.end()) return;
  Sequence& sequence = found->second;
  if (event.accepted && !sequence.accepted) {
    sequence.accepted = true;
    tokens_queued_ -= sequence.prompt_tokens_estimated;
  }
  if (event.finish == FinishReason::kCancelled && sequence.ending == Ending::kBudgetSpent) {
    event.finish = FinishReason::kError;
    event.error = Error(Code::kDeadlineExceeded, "budget_spent", "the request's time was spent while it ran",
                        "budget_ms");
  }
  if (event.finish) {
    switch (*event.finish) {
      case FinishReason::kStop: metrics_.finished_stop.add(); break;
      case FinishReason::kLength: metrics_.finished_length.add(); break;
      case FinishReason::kToolCalls: metrics_.finished_tool_calls.add(); break;
      case FinishReason::kCancelled: metrics_.finished_cancelled.add(); break;
      case FinishReason::kError: metrics_.finished_error.add(); break;
    }
    // Before the gateway hears of it: whatever it bills, the record was there first.
    if (meter_ != nullptr && sequence.accepted) meter_->record({sequence.request, *event.finish, event.usage});
  }
  const auto session = sessions_.find(sequence.session);
  if (session != sessions_.end()) {
    SessionEvent told{.sequence = sequence.number,
                      .accepted = event.accepted,
                      .reasoning = std::move(event.reasoning),
                      .content = std::move(event.content),
                      .tool_calls = std::move(event.tool_calls),
                      .logprobs = std::move(event.logprobs),
                      .choice = event.choice,
                      .choice_finish = event.choice_finish,
                      .embedding = std::move(event.embedding),
                      .usage = event.usage,
                      .finish = event.finish,
                      .stop_text = std::move(event.stop_text),
                      .error = std::move(event.error)};
    if (auto due = collect(sequence, std::move(told), now)) session->second.outbox.add(*std::move(due));
  }
  if (event.finish) finish(event.handle, Sequence(sequence));
}

void EngineHost::grant() {
  if (draining_) return;
  std::vector<CreditSeat*> seats;
  std::vector<std::uint64_t> before;
  for (auto& [id, session] : sessions_) {
    session.seat.withheld = session.overflowed;
    seats.push_back(&session.seat);
    before.push_back(session.seat.granted_total);
  }
  const CreditRoom room{
      .capacity = engine_.facts().sequences_max, .overcommit = limits_.credits_overcommit, .live = places()};
  grant_credits(seats, room);
  std::uint64_t granted = 0;
  std::uint64_t outstanding = 0;
  std::size_t i = 0;
  for (auto& [id, session] : sessions_) {
    const std::uint64_t added = session.seat.granted_total - before[i++];
    session.is_due = session.is_due || added > 0;
    granted += added;
    outstanding += session.seat.outstanding();
  }
  if (granted > 0) metrics_.credits_granted.add(static_cast<double>(granted));
  metrics_.credits_outstanding.set(static_cast<double>(outstanding));
}

/// False: the stream is full and something waits.
bool EngineHost::send(Session& session, const EngineLoad& load) {
  const std::int64_t tokens_queued = std::max<std::int64_t>(0, tokens_queued_);
  const std::int64_t tokens_ahead = tokens_queued + load.prompt_tokens_left;
  if (!session.is_due && session.outbox.empty() && !has_moved(session.tokens_told, tokens_ahead)) return true;
  SessionFrame frame{.step = load.steps_total,
                     .events = session.outbox.take(),
                     .credits_total = session.seat.granted_total,
                     .draining = draining_,
                     .sequences_running = load.sequences_running,
                     .tokens_queued = tokens_queued,
                     .tokens_prefilling = load.prompt_tokens_left,
                     .starts_seen = session.seat.started_total};
  switch (session.sink->try_send(frame)) {
    case SendResult::kTaken:
      metrics_.frames.add();
      session.is_due = false;
      session.overflowed = false;
      session.tokens_told = tokens_ahead;
      return true;
    case SendResult::kClosed:  // its detach is on the way
      session.is_due = false;
      session.tokens_told = tokens_ahead;
      return true;
    case SendResult::kFull: break;
  }
  session.is_due = true;
  session.outbox.put_back(std::move(frame.events));
  if (session.outbox.bytes() <= limits_.outbox_bytes_max || session.overflowed) return false;
  session.overflowed = true;
  log_.warn("session_not_reading", {kv("session", session.id), kv("bytes", session.outbox.bytes()),
                                    kv("sequences", session.handle_of_sequence.size())});
  for (const auto& [number, handle] : session.handle_of_sequence) {
    metrics_.cancelled_backpressure.add();
    engine_.cancel(handle);
  }
  return false;
}

void EngineHost::observe_step(double seconds, const EngineLoad& before) {
  const EngineLoad after = engine_.load();
  if (after.steps_total == before.steps_total) return;
  metrics_.steps.add(static_cast<double>(after.steps_total - before.steps_total));
  metrics_.step_seconds.observe(seconds);
  metrics_.batch_sequences.observe(before.sequences_running + before.sequences_waiting);
  metrics_.prompt_tokens.add(static_cast<double>(after.prompt_tokens_total - before.prompt_tokens_total));
  metrics_.cached_tokens.add(static_cast<double>(after.cached_tokens_total - before.cached_tokens_total));
  metrics_.completion_tokens.add(static_cast<double>(after.completion_tokens_total - before.completion_tokens_total));
  metrics_.drafted_tokens.add(static_cast<double>(after.drafted_tokens_total - before.drafted_tokens_total));
  metrics_.accepted_tokens.add(static_cast<double>(after.accepted_tokens_total - before.accepted_tokens_total));
}

void EngineHost::turn(Mono now) {
  expire(now);
  if (!engine_.idle()) {
    const std::optional<Mono> next = engine_.next_step_at();
    if (!next || *next <= now) {
      const EngineLoad before = engine_.load();
      for (SequenceEvent& event : engine_.step()) route(std::move(event), now);
      observe_step(engine_.load().step_seconds_last, before);
    }
  }
  grant();
  double waiting_bytes = 0;
  retry_at_.reset();
  const EngineLoad load = engine_.load();
  for (auto& [id, session] : sessions_) {
    if (!send(session, load)) retry_at_ = now + limits_.retry_after;
    waiting_bytes += static_cast<double>(session.outbox.bytes());
  }
  metrics_.sessions.set(sessions());
  metrics_.outbox_bytes.set(waiting_bytes);
  metrics_.sequences_running.set(load.sequences_running);
  metrics_.sequences_waiting.set(load.sequences_waiting);
  metrics_.kv_tokens_used.set(static_cast<double>(load.kv_tokens_used));
  metrics_.kv_tokens_idle.set(static_cast<double>(load.kv_tokens_idle));
}

std::optional<Mono> EngineHost::wake_at(Mono now) const {
  std::optional<Mono> at;
  if (!engine_.idle()) at = engine_.next_step_at().value_or(now);
  if (!expiries_.empty() && (!at || expiries_.begin()->first < *at)) at = expiries_.begin()->first;
  if (retry_at_ && (!at || *retry_at_ < *at)) at = retry_at_;
  return at;
}

bool EngineHost::is_drained() const {
  if (!draining_ || !sequences_.empty()) return false;
  return std::all_of(sessions_.begin(), sessions_.end(),
                     [](const auto& entry) { return entry.second.outbox.empty() && !entry.second.is_due; });
}

}  // namespace tidegate::worker
