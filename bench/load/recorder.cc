#include "bench/load/recorder.h"

#include <algorithm>

namespace tidegate::bench {

Recorder::Recorder(const LoadPlan& plan, Mono began) : plan_(plan), began_(began) {
  Duration length{0};
  for (const Phase& phase : plan.phases) {
    PhaseFigures figures;
    figures.name = phase.name;
    for (const LoadTenant& tenant : plan.tenants) figures.tenants.push_back({.name = tenant.name});
    figures_.phases.push_back(std::move(figures));
    length += phase.length;
  }
  figures_.ticks.resize(static_cast<std::size_t>((length + plan.drain_max) / kTick) + 1);
}

Recorder::Sample Recorder::sample(Mono now) const {
  Sample out;
  out.at = now;
  for (const WatchedProcess& process : plan_.watched) {
    out.cpu_seconds.push_back(thread_cpu_seconds(process.pid).value_or(0));
  }
  out.cores = core_ticks();
  return out;
}

PhaseFigures* Recorder::running() {
  return phases_ended_ < figures_.phases.size() ? &figures_.phases[phases_ended_] : nullptr;
}

Tick& Recorder::tick(Mono at) {
  const auto index = static_cast<std::size_t>(std::max(at - began_, Duration::zero()) / kTick);
  return figures_.ticks[std::min(index, figures_.ticks.size() - 1)];
}

/// An answer that never came is as slow as can be: a tick without slow answers is one in which all came.
void Recorder::note_never(const Ask& ask) {
  Tick& begun = tick(ask.due);
  begun.slowest_first_token = std::max(begun.slowest_first_token, plan_.answer_max);
}

void Recorder::begin_phase(Mono now) { before_ = sample(now); }

void Recorder::end_phase(Mono now, std::uint64_t streams_open) {
  PhaseFigures& phase = figures_.phases[phases_ended_++];
  Sample after = sample(now);
  phase.seconds = std::chrono::duration<double>(after.at - before_.at).count();
  phase.streams_open = streams_open;
  for (std::size_t i = 0; i < plan_.watched.size(); ++i) {
    phase.processes.push_back({.name = plan_.watched[i].name,
                               .cpu_seconds = after.cpu_seconds[i] - before_.cpu_seconds[i],
                               .rss_mib = process_rss_mib(plan_.watched[i].pid).value_or(0)});
  }
  for (std::size_t i = 0; i < std::min(after.cores.size(), before_.cores.size()); ++i) {
    const double all = after.cores[i].all - before_.cores[i].all;
    phase.cores_busy.push_back(all > 0 ? (after.cores[i].busy - before_.cores[i].busy) / all : 0);
  }
  before_ = std::move(after);
}

void Recorder::on_due(const Ask& ask) {
  if (ask.tries == 0) ++figures_.phases[ask.phase].due;
}

void Recorder::on_late(Duration late) {
  const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(late.count() / 1000, 0));
  figures_.late_us_max = std::max(figures_.late_us_max, us);
}

void Recorder::on_token(Duration gap) {
  PhaseFigures* phase = running();
  if (phase == nullptr) return;
  ++phase->token_events;
  if (gap >= Duration::zero()) phase->gaps.record(gap);
}

void Recorder::on_answered(const Exchange& exchange, Mono now, std::int64_t tokens) {
  PhaseFigures& phase = figures_.phases[exchange.ask.phase];
  // Without a stream the text comes with the last byte.
  const Mono first_token = exchange.first_token == Mono{} ? now : exchange.first_token;
  const Duration waited = first_token - exchange.ask.due;
  if (exchange.ask.tries == 0) {
    ++phase.answered;
    ++phase.statuses[200];
    phase.first_byte.record(exchange.first_byte - exchange.ask.due);
    phase.first_token.record(waited);
    phase.whole.record(now - exchange.ask.due);
    ++phase.tenants[exchange.ask.tenant].answered;
    phase.tenants[exchange.ask.tenant].first_token.record(waited);
  } else if (exchange.ask.tries == 1) {
    ++phase.came_back;
    ++phase.admitted_at_once;
  } else {
    ++phase.admitted_later;
  }
  if (PhaseFigures* here = running(); here != nullptr) {
    ++here->answers_ended;
    here->tokens_told += tokens;
  }
  ++tick(now).answered;
  Tick& begun = tick(exchange.ask.due);
  begun.slowest_first_token = std::max(begun.slowest_first_token, waited);
}

void Recorder::on_refused(const Exchange& exchange, Mono now, int status, Duration wait, bool comes_back) {
  PhaseFigures& phase = figures_.phases[exchange.ask.phase];
  phase.refusal.record(now - exchange.ask.due);
  phase.refusal_service.record(now - exchange.sent);
  if (exchange.ask.tries == 0) {
    ++phase.refused;
    ++phase.statuses[status];
    ++phase.tenants[exchange.ask.tenant].refused;
  } else if (exchange.ask.tries == 1) {
    ++phase.came_back;
  }
  if (comes_back) phase.told_to_wait.record(wait);
  ++tick(now).refused;
}

void Recorder::on_failed(const Ask& ask, int status) {
  PhaseFigures& phase = figures_.phases[ask.phase];
  note_never(ask);
  if (ask.tries > 1) return;
  if (ask.tries == 1) {
    ++phase.came_back;
    return;
  }
  ++phase.failed;
  ++phase.statuses[status];
}

void Recorder::on_unfinished(const Ask& ask) {
  note_never(ask);
  if (ask.tries == 0) ++figures_.phases[ask.phase].unfinished;
}

}  // namespace tidegate::bench
