#include "gateway/dispatch/request_driver.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "base/core/check.h"
#include "gateway/dispatch/wanted_work.h"

namespace tidegate::gateway {
namespace {

/// The client's own deadline can only be the earlier one.
Deadline deadline_of(const RequestContext& context, const ServingLimits& limits) {
  const Deadline ours = Deadline::after(context.received, limits.request_max);
  return context.budget ? ours.earlier(Deadline::after(context.received, *context.budget)) : ours;
}

/// A call that must be comes before a format (worker/engine/requested_grammar.h has the same order).
AnswerGuard::Content content_of(const Plan& plan) {
  const bool is_json = plan.response_format.kind != FormatKind::kText && !plan.tool_choice.is_forced();
  return is_json ? AnswerGuard::Content::kJson : AnswerGuard::Content::kText;
}

}  // namespace

RequestDriver::RequestDriver(Serving& serving, RequestContext context, AnswerSink& sink, Executor executor)
    : serving_(serving),
      context_(std::move(context)),
      sink_(sink),
      inbox_(std::move(executor)),
      flow_(context_.plan.is_stream),
      deadline_(deadline_of(context_, serving.limits)),
      answer_check_(AnswerCheck::of(context_.plan, serving.metrics)),
      last_write_(context_.received) {
  serving_.open_requests.add(inbox_);
}

RequestDriver::~RequestDriver() {
  serving_.open_requests.remove(inbox_);
  leave_worker();
  if (charge_) pool_metrics_->inflight_requests->add(-1);  // cut off: the charge settles itself
}

awaitable<void> RequestDriver::run() {
  const auto refused = check();
  co_await perform(flow_.on_checked(refused));
  while (!flow_.is_done()) {
    const Deadline keep_alive = Deadline::after(last_write_, serving_.limits.keep_alive);
    has_taken_ = false;
    inbox_.set_taker(this);
    auto message = co_await inbox_.next(keep_alive.earlier(deadline_));
    inbox_.set_taker(nullptr);
    FlowActions actions;
    if (message && std::holds_alternative<FlowInbox::Nudge>(*message)) {
      actions = co_await take_over();
    } else if (message) {
      std::optional<bool> is_cut = false;
      auto* delta = std::get_if<SequenceDelta>(&*message);
      const bool is_broken = answer_check_ && delta != nullptr && breaks_promise(*delta);
      if (answer_guard_ && delta != nullptr) is_cut = co_await pass_answer(*delta);
      // What nobody reads any more is not told; the inbox says next that the client is gone, or that the gateway stops.
      const bool is_unread = !is_cut || (answer_guard_ && delta != nullptr && inbox_.is_client_gone());
      if (!is_unread) actions = on_message(*std::move(message), *is_cut || is_broken);
    } else {
      actions = co_await on_silence();
    }
    co_await perform(actions);
    // A stream that never falls silent has a deadline too. An end that has arrived wins.
    if (deadline_.is_expired(serving_.clock.mono())) co_await perform(flow_.on_deadline());
  }
  permit_.reset();
  write_summary();
}

/// Scope, size and the queue: everything that needs no I/O. The key was checked by the dialect, before it parsed the body.
std::optional<Refusal> RequestDriver::check() {
  const Plan& plan = context_.plan;
  auto pool = serving_.dispatcher.routes().pool_for(plan.model, context_.principal->regions);
  if (!pool && pool.error().code == Code::kNotFound) return pool.error();
  if (!context_.principal->may_call(plan.model)) {
    return Error(Code::kPermissionDenied, "model_not_allowed",
                 "This key may not call the model; ask for it in the project's settings, or use another key.", "model");
  }
  if (!pool) return pool.error();
  pool_ = spilled(*std::move(pool));
  pool_metrics_ = &serving_.metrics.pool(pool_.model, pool_.region, pool_.pool);
  if (plan.fields_ignored > 0) serving_.metrics.fields_ignored.add(plan.fields_ignored);

  const std::int32_t wanted = plan.sampling.max_tokens > 0 ? plan.sampling.max_tokens : serving_.limits.completion_default;
  max_tokens_ = pool_.context_max > 0 ? std::min(wanted, pool_.context_max) : wanted;
  if (!plan.embed.empty()) max_tokens_ = 0;
  tokens_most_ = std::int64_t{max_tokens_} * plan.sampling.n;
  choices_.resize(static_cast<std::size_t>(plan.answers()));
  if (Status bounded = check_logprobs(plan.sampling, max_tokens_); !bounded) return std::move(bounded).error();
  if (serving_.guard != nullptr) {
    if (Status readable = GuardDesk::check_readable(plan); !readable) return std::move(readable).error();
  }
  // Last, and still before limits and money: a request that would wait in vain is refused for nothing.
  const SequenceRequest request = sequence_request();
  return serving_.dispatcher.refuse(request);
}

SequenceRequest RequestDriver::sequence_request() const {
  SequenceRequest request;
  request.request = context_.request;
  request.tenant = context_.principal->tenant;
  request.pool = pool_;
  request.plan = &context_.plan;
  request.max_tokens = max_tokens_;
  request.deadline = deadline_;
  request.tier = grant_tier(context_.plan.tier, context_.principal->tier_max);
  request.weight = context_.principal->weight;
  return request;
}

/// Another region's pool when home has no room, and nobody would pay another price there.
ServingPool RequestDriver::spilled(ServingPool home) {
  const Principal& principal = *context_.principal;
  for (ServingPool& other : serving_.dispatcher.spill_pools(home, principal.regions)) {
    const std::pair<std::string_view, std::string_view> here(home.region, home.pool);
    const std::pair<std::string_view, std::string_view> there(other.region, other.pool);
    if (!serving_.meter.has_same_price(principal, home.model, here, there)) continue;
    serving_.metrics.pool(home.model, home.region, home.pool).spills->add();
    return std::move(other);
  }
  return home;
}

awaitable<void> RequestDriver::perform(FlowActions actions) {
  // An action may end in an event, whose actions follow at once: admitted -> enqueue, settled -> reply.
  while (actions.size() > 0) {
    FlowActions next;
    for (const FlowAction action : actions) {
      FlowActions more;
      switch (action) {
        case FlowAction::kAdmit: more = co_await admit(); break;
        case FlowAction::kEnqueue: more = enqueue(); break;
        case FlowAction::kLeaveWorker:
          if (flow_.is_client_gone()) count_cancel();
          leave_worker();
          break;
        case FlowAction::kReportAccepted: report_accepted(); break;
        case FlowAction::kReportProgress: more = co_await report_progress(); break;
        case FlowAction::kDeliver: more = co_await deliver(); break;
        case FlowAction::kSettle: more = co_await settle(); break;
        case FlowAction::kReplyFinal: co_await reply_final(); break;
        case FlowAction::kReplyError: co_await reply_error(); break;
        case FlowAction::kClose: break;
      }
      for (const FlowAction one : more) next.add(one);
    }
    actions = next;
  }
}

/// Requests and tokens a minute and the like, before any money moves: a refused request costs nobody a hold.
awaitable<std::optional<Refusal>> RequestDriver::pass_limits(std::int64_t prompt_tokens_max) {
  RateRequest request;
  request.principal = context_.principal;
  request.model = pool_.model;
  request.tokens_max = prompt_tokens_max + tokens_most_;
  RateAdmission admission = co_await serving_.rates->admit(std::move(request));
  sink_.on_limits(admission.status);
  permit_ = std::move(admission.permit);
  co_return std::move(admission.refused);
}

/// Policy on content, on the plan as it will be counted, priced and run.
awaitable<std::optional<Refusal>> RequestDriver::pass_guard() {
  GuardSubject subject = GuardDesk::subject_of(context_.request, *context_.principal, pool_.model);
  auto checking = serving_.guard->check_input(subject, context_.plan);
  auto waiting = while_wanted(inbox_, std::move(checking));
  auto checked = co_await std::move(waiting);
  if (!checked) {
    if (inbox_.is_client_gone()) co_return Refusal(Error(Code::kCancelled, "client_gone", "The client left."));
    co_return Refusal(Error(Code::kUnavailable, "gateway_stopping", "This gateway is stopping; send it again."));
  }
  std::optional<Refusal> refused = *std::move(checked);
  // An answer that no rule is for is not even collected: its calls stream.
  if (!refused && serving_.guard->reads_answers(subject)) {
    answer_guard_ = std::make_unique<AnswerGuard>(*serving_.guard, std::move(subject), content_of(context_.plan),
                                                  context_.plan.answers());
  }
  co_return refused;
}

/// The same on what the worker said. Built-in rules decide at once; whom another process keeps waiting is looked after.
awaitable<std::optional<bool>> RequestDriver::pass_answer(SequenceDelta& delta) {
  auto passing = answer_guard_->pass(delta);
  if (!serving_.guard->asks_elsewhere()) co_return co_await std::move(passing);
  auto waiting = while_wanted(inbox_, std::move(passing));
  co_return co_await std::move(waiting);
}

/// Its end becomes a failure of its worker's. The rule is logged, not the place: that has names from the answer.
bool RequestDriver::breaks_promise(SequenceDelta& delta) {
  const Status kept = answer_check_->take(delta);
  if (kept) return false;
  serving_.log.warn("answer_breaks_format", {kv("request_id", context_.request.to_string()), kv("model", pool_.model),
                                             kv("worker", worker_.worker_id), kv("rule", kept.error().reason)});
  delta.end = SequenceEnd::kError;
  delta.error = answer_breaks_format(kept.error());
  return true;
}

FlowActions RequestDriver::refuse_admission(Refusal refusal) {
  if (permit_) permit_->settle(0);
  if (inbox_.is_client_gone()) {
    flow_.on_client_gone();
    serving_.metrics.cancelled(CancelPhase::kAdmitting).add();
  }
  return flow_.on_rate_refused(std::move(refusal));
}

/// What cannot be run is not asked for.
std::int64_t RequestDriver::prompt_bound() const {
  const std::int64_t bound = prompt_tokens_bound(context_.plan);
  if (pool_.context_max <= 0) return bound;
  const std::int64_t prompts = context_.plan.embed.empty() ? 1 : std::ssize(context_.plan.embed);
  return std::min(bound, pool_.context_max * prompts);
}

/// Limits first: whoever sends more than its share does not make the policy read it. Money last, for the prompt as masked.
awaitable<FlowActions> RequestDriver::admit() {
  std::optional<Refusal> refused;
  if (serving_.rates != nullptr) refused = co_await pass_limits(prompt_bound());
  if (!refused && serving_.guard != nullptr) refused = co_await pass_guard();
  if (refused) co_return refuse_admission(*std::move(refused));
  AdmissionRequest request;
  request.request = context_.request;
  request.principal = context_.principal;
  request.model = pool_.model;
  request.region = pool_.region;
  request.pool = pool_.pool;
  request.prompt_tokens_max = prompt_bound();
  request.completion_tokens_max = tokens_most_;
  request.budget = deadline_.remaining(serving_.clock.mono());
  request.is_stream = context_.plan.is_stream;
  request.surface = context_.surface;
  request.end_user = context_.plan.end_user;

  auto admitted = co_await serving_.meter.admit(std::move(request));
  if (inbox_.is_client_gone()) {
    flow_.on_client_gone();
    serving_.metrics.cancelled(CancelPhase::kAdmitting).add();
  }
  if (!admitted) {
    if (permit_) permit_->settle(0);
    co_return flow_.on_admitted(fail(std::move(admitted).error()));
  }
  charge_ = *std::move(admitted);
  pool_metrics_->inflight_requests->add(1);
  sink_.on_admitted(charge_->band());
  sink_.on_price_until(charge_->price_until());
  co_return flow_.on_admitted({});
}

FlowActions RequestDriver::enqueue() {
  if (flow_.retries() > 0) {
    pool_metrics_->retries->add();
    inbox_.reset_worker();
    if (answer_guard_) answer_guard_->reset();
    if (answer_check_) answer_check_->reset();
    choices_.assign(choices_.size(), Choice());
    sink_.restart();
  }
  SequenceRequest request = sequence_request();
  if (flow_.retries() > 0) request.avoid_worker = worker_.worker_id;
  auto ticket = serving_.dispatcher.submit(request, inbox_);
  if (!ticket) return flow_.on_queue_refused(std::move(ticket).error());
  ticket_ = *ticket;
  queued_at_ = serving_.clock.mono();
  return {};
}

void RequestDriver::leave_worker() {
  if (ticket_) serving_.dispatcher.leave(*std::exchange(ticket_, std::nullopt));
}

bool RequestDriver::take_delta() {
  if (delta_.end && !is_good_end(*delta_.end)) return true;
  const auto count = static_cast<std::int32_t>(choices_.size());
  if (delta_.choice < 0 || delta_.choice >= count) return false;
  Choice& choice = choices_[static_cast<std::size_t>(delta_.choice)];
  std::optional<SequenceEnd> own_end = delta_.choice_end;
  if (delta_.end && !own_end && count == 1) own_end = delta_.end;
  if (own_end && !is_good_end(*own_end)) return false;
  if (own_end && !context_.plan.embed.empty() && delta_.embedding.empty()) return false;
  if (!choice.finish_reason.empty() && (own_end || delta_.has_text())) return false;
  if (own_end) choice.finish_reason = end_name(*own_end);
  // What is filtered ends the answers that go on; every other end comes with the last of them.
  for (Choice& one : choices_) {
    if (!delta_.end || !one.finish_reason.empty()) continue;
    if (delta_.end != SequenceEnd::kFiltered) return false;
    one.finish_reason = end_name(SequenceEnd::kFiltered);
  }
  hold_logprobs(delta_, delta_.has_text() || own_end || delta_.end);
  return true;
}

void RequestDriver::hold_logprobs(SequenceDelta& delta, bool is_handed_over) {
  TokenLogprobs& held = choices_[static_cast<std::size_t>(delta.choice)].held;
  if (held.empty() && (is_handed_over || delta.logprobs.empty())) return;  // they leave as they came, or there are none
  append_logprobs(held, std::exchange(delta.logprobs, {}));
  if (is_handed_over) delta.logprobs = std::exchange(held, {});
}

/// `is_cut`: the end of the event is ours, and its worker may go on.
FlowActions RequestDriver::on_message(FlowInbox::Message message, bool is_cut) {
  if (std::holds_alternative<FlowInbox::ClientGone>(message)) return flow_.on_client_gone();
  if (std::holds_alternative<FlowInbox::Shutdown>(message)) return flow_.on_shutdown();
  if (std::holds_alternative<FlowInbox::WorkerLost>(message)) {
    ticket_.reset();
    return flow_.on_worker_lost();
  }
  if (auto* refusal = std::get_if<Refusal>(&message)) {
    ticket_.reset();
    return flow_.on_queue_refused(std::move(*refusal));
  }
  if (auto* worker = std::get_if<WorkerFacts>(&message)) {
    worker_ = std::move(*worker);
    queue_wait_ = serving_.clock.mono() - *queued_at_;
    pool_metrics_->queue_wait_seconds->observe(in_seconds(queue_wait_));
    sink_.on_waited(queue_wait_);
    sink_.on_dispatched(worker_);
    return flow_.on_dispatched();
  }
  delta_ = std::get<SequenceDelta>(std::move(message));
  if (!take_delta()) {
    is_cut = true;
    delta_.end = SequenceEnd::kError;
    delta_.error = Error(Code::kInternal, "bad_choice", "the worker named an answer that is not one of the request's");
  }
  if (is_cut) {
    leave_worker();
  } else if (delta_.end) {
    ticket_.reset();
  }
  return on_event(delta_);
}

FlowActions RequestDriver::on_event(SequenceDelta& delta) {
  FlowEvent event;
  event.accepted = delta.accepted;
  event.has_text = delta.has_text() || delta.choice_end.has_value();
  event.usage = delta.usage;
  event.end = delta.end;
  if (delta.end) event.error = std::move(delta.error);
  return flow_.on_worker_event(event);
}

/// An event in the middle of an answer that nobody has to be asked about. Its end, a guard's word and a store's are
/// waited for, so those go to the coroutine. It is told where it lies: copied here, it would touch memory that has left the
/// cache since the stream's last token.
bool RequestDriver::take_now(SequenceDelta& delta) {
  const bool is_fenced = context_.fence != nullptr && !is_fence_passed_;
  if (delta.end || answer_guard_ != nullptr || is_fenced || !sink_.can_deliver_now()) return false;
  // So do the end of one of several answers, and what names none that goes on.
  if (delta.choice_end || delta.choice < 0 || delta.choice >= std::ssize(choices_)) return false;
  if (!choices_[static_cast<std::size_t>(delta.choice)].finish_reason.empty()) return false;
  const Mono now = serving_.clock.mono();
  if (deadline_.is_expired(now)) return false;
  if (answer_check_) TG_CHECK(answer_check_->take(delta).has_value());  // only an end can fail
  hold_logprobs(delta, delta.has_text());
  has_taken_ = true;
  const FlowActions actions = on_event(delta);
  perform_now(actions, delta, now);
  if (left_over_.size() > 0) delta_ = std::move(delta);  // they are performed with it
  return true;
}

void RequestDriver::perform_now(const FlowActions& actions, SequenceDelta& delta, Mono now) {
  for (const FlowAction action : actions) {
    if (left_over_.size() > 0) {  // they follow one that has to wait
      left_over_.add(action);
      continue;
    }
    switch (action) {
      case FlowAction::kReportAccepted: report_accepted(); break;
      case FlowAction::kReportProgress: charge_->on_progress(flow_.usage()); break;
      case FlowAction::kDeliver:
        note_tokens(now);
        switch (sink_.deliver_now(take_part(delta))) {
          case Delivery::kDone: break;
          case Delivery::kHeldUp: is_held_up_ = true; break;
          case Delivery::kFailed: left_over_ = flow_.on_client_gone(); break;
        }
        break;
      case FlowAction::kAdmit:
      case FlowAction::kEnqueue:
      case FlowAction::kLeaveWorker:
      case FlowAction::kSettle:
      case FlowAction::kReplyFinal:
      case FlowAction::kReplyError:
      case FlowAction::kClose: left_over_.add(action); break;
    }
  }
  if (is_held_up_ || left_over_.size() > 0) inbox_.nudge();
}

/// What perform_now() could not do.
awaitable<FlowActions> RequestDriver::take_over() {
  if (std::exchange(is_held_up_, false)) {
    const Status taken = co_await sink_.flush();
    if (!taken) co_return flow_.on_client_gone();
  }
  co_return std::exchange(left_over_, FlowActions());
}

void RequestDriver::report_accepted() {
  if (permit_) permit_->shrink(flow_.usage().prompt + tokens_most_);
  charge_->on_accepted(flow_.usage(), worker_.worker_id);
  sink_.on_accepted(flow_.usage());
}

awaitable<FlowActions> RequestDriver::on_silence() {
  const Mono now = serving_.clock.mono();
  if (deadline_.is_expired(now)) co_return flow_.on_deadline();
  if (has_taken_) co_return FlowActions();  // the silence begins later
  last_write_ = now;
  serving_.metrics.keep_alives.add();
  std::optional<QueuePlace> place;
  if (ticket_) place = serving_.dispatcher.place(*ticket_);
  sink_.on_place(place);
  if (!co_await sink_.keep_alive()) co_return flow_.on_client_gone();
  co_return FlowActions();
}

/// Once, before anything is charged or handed over.
awaitable<Status> RequestDriver::pass_fence() {
  if (is_fence_passed_) co_return Status();
  Status passed = co_await context_.fence->before_charge();
  is_fence_passed_ = passed.has_value();
  co_return passed;
}

/// Before text of a stream leaves. The fence first: the next life of this gateway charges what was journalled.
awaitable<FlowActions> RequestDriver::report_progress() {
  Status passed;
  if (context_.fence != nullptr) passed = co_await pass_fence();
  if (!passed) co_return flow_.on_unfenced(std::move(passed).error());
  charge_->on_progress(flow_.usage());
  co_return FlowActions();
}

awaitable<FlowActions> RequestDriver::deliver() {
  if (flow_.phase() != FlowPhase::kStreaming) co_return FlowActions();  // the fence held it back
  note_tokens(serving_.clock.mono());
  AnswerPart part = take_part(delta_);
  const Status written = co_await sink_.deliver(std::move(part));
  if (!written) co_return flow_.on_client_gone();
  co_return FlowActions();
}

AnswerPart RequestDriver::take_part(SequenceDelta& delta) {
  AnswerPart part;
  part.choice = delta.choice;
  part.reasoning = std::move(delta.reasoning);
  part.content = std::move(delta.content);
  part.tool_calls = std::move(delta.tool_calls);
  part.logprobs = std::move(delta.logprobs);
  part.embedding = std::move(delta.embedding);
  if (delta.choice_end) {
    Choice& choice = choices_[static_cast<std::size_t>(delta.choice)];
    part.finish_reason = choice.finish_reason;
    part.stop_text = std::move(delta.stop_text);
    choice.is_told = true;
  }
  return part;
}

void RequestDriver::note_tokens(Mono now) {
  if (!first_token_) {
    first_token_ = now;
    pool_metrics_->ttft_seconds->observe(in_seconds(now - context_.received));
  } else if (context_.plan.is_stream) {
    pool_metrics_->inter_token_seconds->observe(in_seconds(now - last_token_));
  }
  last_token_ = now;
  // An answer that does not stream only collects: on the wire it is as silent as before, and its events come as seldom
  // as its worker pleases.
  if (context_.plan.is_stream) last_write_ = now;
}

awaitable<FlowActions> RequestDriver::settle() {
  FinalReport report;
  report.outcome = flow_.outcome();
  report.finish_reason = flow_.finish_reason();
  report.usage = flow_.usage();
  report.variant = worker_.variant;
  report.worker_id = worker_.worker_id;
  report.weights_digest = worker_.weights_digest;
  Status passed;
  if (report.usage.total() > 0 && context_.fence != nullptr) passed = co_await pass_fence();
  if (!passed) {
    // What could not be remembered is not charged: its repeat would pay again.
    report.outcome = Outcome::kFailed;
    report.finish_reason = "error";
    report.usage = {};
  }
  const TokenUsage usage = report.usage;
  auto settled = co_await charge_->settle(std::move(report));
  charge_.reset();
  pool_metrics_->inflight_requests->add(-1);
  if (permit_) permit_->settle(usage.total());
  pool_metrics_->tokens_prompt_hit->add(static_cast<double>(usage.cached));
  pool_metrics_->tokens_prompt_miss->add(static_cast<double>(usage.prompt - usage.cached));
  pool_metrics_->tokens_completion->add(static_cast<double>(usage.completion));
  pool_metrics_->tokens_reasoning->add(static_cast<double>(usage.reasoning));

  if (inbox_.is_client_gone()) flow_.on_client_gone();
  if (!settled) {
    serving_.log.error("settle_failed", {kv("request_id", context_.request.to_string()),
                                         kv("error", settled.error().to_string())});
    co_return flow_.on_settled(fail(std::move(settled).error()));
  }
  settlement_ = *std::move(settled);
  co_return flow_.on_settled(std::move(passed));
}

awaitable<void> RequestDriver::reply_final() {
  if (!first_token_) pool_metrics_->ttft_seconds->observe(in_seconds(serving_.clock.mono() - context_.received));
  AnswerEnd end;
  fill_end(end);
  end.usage = flow_.usage();
  end.settlement = settlement_;
  const Status written = co_await sink_.finish(std::move(end));
  is_finished_ = written.has_value();
}

void RequestDriver::fill_end(AnswerEnd& end) {
  end.reasoning = std::move(delta_.reasoning);
  end.content = std::move(delta_.content);
  end.tool_calls = std::move(delta_.tool_calls);
  end.logprobs = std::move(delta_.logprobs);
  end.embedding = std::move(delta_.embedding);
  end.stop_text = std::move(delta_.stop_text);
  end.finish_reason = flow_.finish_reason();
  if (choices_.size() == 1) return;
  end.choice = delta_.choice;
  end.finish_reason = choices_[static_cast<std::size_t>(delta_.choice)].finish_reason;
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    Choice& choice = choices_[i];
    end.finish_reasons.emplace_back(choice.finish_reason);
    if (choice.is_told || static_cast<std::int32_t>(i) == delta_.choice) continue;
    AnswerPart other;
    other.choice = static_cast<std::int32_t>(i);
    other.finish_reason = choice.finish_reason;
    other.logprobs = std::move(choice.held);
    end.others.push_back(std::move(other));
  }
}

awaitable<void> RequestDriver::reply_error() {
  Refusal refusal = flow_.refusal();
  co_await sink_.refuse(std::move(refusal));
}

void RequestDriver::count_cancel() {
  auto phase = CancelPhase::kStreaming;
  if (!first_token_) phase = worker_.worker_id.empty() ? CancelPhase::kQueued : CancelPhase::kBeforeFirstToken;
  serving_.metrics.cancelled(phase).add();
}

void RequestDriver::write_summary() {
  const Duration took = serving_.clock.mono() - context_.received;
  const bool completed = flow_.outcome() == Outcome::kCompleted || flow_.finish_reason() == "content_filter";
  int status = 200;
  std::string reason;
  if (flow_.is_client_gone() || (completed && !is_finished_)) {
    status = kStatusClientGone;
  } else if (!completed) {
    status = sink_.status_of(flow_.refusal());
    reason = flow_.refusal().error.reason;
    serving_.metrics.refusals(reason).add();
  }
  const std::string& model = pool_.model.empty() ? std::string(kOtherModel) : pool_.model;
  serving_.metrics.requests(model, context_.surface, status).add();
  if (pool_metrics_ != nullptr) pool_metrics_->request_seconds->observe(in_seconds(took));

  const TokenUsage& usage = flow_.usage();
  serving_.log.info("request",
                    {kv("request_id", context_.request.to_string()), kv("surface", context_.surface),
                     kv("trace_id", context_.trace_id), kv("status", status), kv("reason", reason), kv("model", model),
                     kv("variant", worker_.variant),
                     kv("worker", worker_.worker_id), kv("key", context_.principal->public_id),
                     kv("tenant", context_.principal->tenant.to_string()), kv("stream", context_.plan.is_stream),
                     kv("finish_reason", flow_.finish_reason()), kv("prompt_tokens", usage.prompt),
                     kv("cached_tokens", usage.cached), kv("completion_tokens", usage.completion),
                     kv("reasoning_tokens", usage.reasoning), kv("cost", settlement_.amount.to_string()),
                     kv("currency", settlement_.currency),
                     kv("tier", tier_name(grant_tier(context_.plan.tier, context_.principal->tier_max))),
                     kv("queue_ms", in_millis(queue_wait_)),
                     kv("ttft_ms", first_token_ ? in_millis(*first_token_ - context_.received) : std::int64_t{-1}),
                     kv("total_ms", in_millis(took)), kv("retries", flow_.retries())});
}

}  // namespace tidegate::gateway
