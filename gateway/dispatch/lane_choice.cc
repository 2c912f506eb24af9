#include <algorithm>
#include <unordered_map>

#include "gateway/dispatch/lane_dispatcher.h"

namespace tidegate::gateway {
namespace {

/// A retry stands at the head of its queue: it waits this long for another worker than the one that lost it, no longer.
constexpr Duration kAvoidFor = std::chrono::seconds(1);

}  // namespace

/// Another worker that may be given a retry, now or when it has room: one whose arm never has a turn is none.
bool LaneDispatcher::has_other(const PoolQueue& pool, const SequenceRequest& request, const std::string& avoid_worker,
                               Mono now) const {
  const AbilitySet needs = needs_of(*request.plan);
  return std::ranges::any_of(pool.workers, [&](const WorkerSession* session) {
    const Route& route = session->route();
    if (route.worker_id == avoid_worker || !session->is_serving()) return false;
    if (!pool.health.may_take(session->number(), now) || !session->abilities().covers(needs)) return false;
    return routing_.traffic == nullptr || routing_.traffic->has_part(pool.pool, route.arm);
  });
}

/// Those of the pool that may be given the request now; where it would wait for a place only if it would everywhere.
std::vector<WorkerSession*> LaneDispatcher::able_workers(PoolQueue& pool, const SequenceRequest& request,
                                                         const std::string& avoid_worker, Mono now) const {
  const AbilitySet needs = needs_of(*request.plan);
  bool has_settled = false;  // somebody is past the slow start: newcomers need not be flooded
  for (const WorkerSession* session : pool.workers) {
    if (!session->is_serving() || !pool.health.may_take(session->number(), now)) continue;
    if (!session->abilities().covers(needs)) continue;
    has_settled = has_settled || !picker_.is_ramping(now - session->opened_at());
  }
  std::vector<WorkerSession*> able;
  for (WorkerSession* session : pool.workers) {
    if (!session->can_take() || !pool.health.may_take(session->number(), now)) continue;
    if (!session->abilities().covers(needs)) continue;
    if (session->route().worker_id == avoid_worker) continue;
    const auto running = static_cast<std::int64_t>(session->running());
    if (has_settled && running >= picker_.ramp_limit(now - session->opened_at(), session->sequences_max())) continue;
    able.push_back(session);
  }
  const auto is_full = [](const WorkerSession* session) { return session->places() == 0; };
  if (!std::ranges::all_of(able, is_full)) std::erase_if(able, is_full);
  return able;
}

std::optional<LaneDispatcher::Choice> LaneDispatcher::choose(PoolQueue& pool, const Pending& pending,
                                                             Duration waited) {
  const Mono now = clock_.mono();
  std::string avoided = waited < kAvoidFor ? pending.request.avoid_worker : std::string();
  if (!avoided.empty() && !has_other(pool, pending.request, avoided, now)) avoided.clear();
  std::vector<WorkerSession*> able = able_workers(pool, pending.request, avoided, now);
  if (able.empty()) return std::nullopt;

  PrefixStore::View known;
  known.prompt_tokens = pending.prefix.bytes / kBytesPerTokenApprox + 1 + pending.prefix.ids;
  if (routing_.prefixes != nullptr) known = routing_.prefixes->look(pending.prefix, pool.pool.model);
  if (!keep_arm(pool, pending.request, avoided, able, known)) return std::nullopt;
  std::unordered_map<PrefixIndex::Holder, const PrefixStore::Held*> held_by;
  for (const PrefixStore::Held& held : known.held) held_by.emplace(held.holder, &held);
  std::vector<const PrefixStore::Held*> held_of(able.size(), nullptr);
  std::vector<std::size_t> holders;
  for (std::size_t i = 0; i < able.size() && !held_by.empty(); ++i) {
    if (!able[i]->holder()) continue;
    const auto found = held_by.find(*able[i]->holder());
    if (found == held_by.end()) continue;
    held_of[i] = found->second;
    holders.push_back(i);
  }
  std::ranges::sort(holders, [&](std::size_t a, std::size_t b) { return held_of[a]->tokens > held_of[b]->tokens; });

  const std::vector<std::size_t> shortlist = picker_.shortlist(able.size(), holders);
  std::vector<WorkerView> views;
  views.reserve(shortlist.size());
  for (const std::size_t i : shortlist) {
    WorkerView view;
    view.prefill_rate = able[i]->prefill_rate();
    view.tokens_ahead = able[i]->load().tokens_ahead(now, view.prefill_rate);
    view.tokens_cached = held_of[i] == nullptr ? 0 : held_of[i]->tokens;
    view.sequences = able[i]->load().sequences();
    view.tokens_lifetime = able[i]->load().tokens_lifetime();
    views.push_back(view);
  }
  const auto picked = picker_.pick(views, known.prompt_tokens);
  const std::size_t best = shortlist[*picked];
  Choice choice;
  choice.session = able[best];
  choice.tokens_believed = std::min(views[*picked].tokens_cached, known.prompt_tokens - 1);
  choice.tokens_uncached = known.prompt_tokens - choice.tokens_believed;
  if (held_of[best] != nullptr) choice.blocks_believed = held_of[best]->blocks;
  return choice;
}

bool LaneDispatcher::keep_arm(PoolQueue& pool, const SequenceRequest& request, const std::string& avoid_worker,
                              std::vector<WorkerSession*>& able, const PrefixStore::View& known) {
  if (routing_.traffic == nullptr || table_.shares().empty()) return true;
  std::vector<TrafficBoard::ArmNow> arms;
  const auto arm_of = [&arms](const WorkerSession& session) -> TrafficBoard::ArmNow& {
    const std::string& name = session.route().arm;
    const auto found = std::ranges::find(arms, name, &TrafficBoard::ArmNow::name);
    return found == arms.end() ? arms.emplace_back(TrafficBoard::ArmNow{.name = name}) : *found;
  };
  // An arm that cannot answer as the request asks, or whose workers are all out of the choice, has no turn to take: nobody
  // waits for it, and a retry not for the one worker that lost it.
  const AbilitySet needs = needs_of(*request.plan);
  const Mono now = clock_.mono();
  for (const WorkerSession* session : pool.workers) {
    const bool is_chosen_from = session->is_serving() && pool.health.may_take(session->number(), now) &&
                                session->route().worker_id != avoid_worker;
    if (is_chosen_from && session->abilities().covers(needs)) arm_of(*session).is_serving = true;
  }
  // A conversation is where most of its prompt is: what all prompts begin with makes none.
  std::string home;
  std::int64_t most = known.prompt_tokens / 2;
  for (const WorkerSession* session : able) {
    arm_of(*session).can_take = true;
    if (!session->holder()) continue;
    const auto held = std::ranges::find(known.held, *session->holder(), &PrefixStore::Held::holder);
    if (held == known.held.end() || held->tokens <= most) continue;
    most = held->tokens;
    home = session->route().arm;
  }
  const TrafficBoard::Decision decision = routing_.traffic->decide(pool.pool, arms, home);
  if (!decision.is_divided) return true;
  if (decision.waits) return false;
  std::erase_if(able, [&](const WorkerSession* session) { return session->route().arm != decision.arm; });
  metrics_.arm_requests(pool.pool.model, decision.arm).add();
  if (decision.is_passed_on) pool.metrics.arm_passed_on->add();
  return true;
}

}  // namespace tidegate::gateway
