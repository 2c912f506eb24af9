#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "bench/load/client_connection.h"
#include "bench/load/load_figures.h"
#include "bench/load/load_plan.h"
#include "bench/load/process_cpu.h"

namespace tidegate::bench {

/// Turns what happens in a run into its figures. One thread.
class Recorder final : public TokenListener {
 public:
  Recorder(const LoadPlan& plan, Mono began);

  /// Phases begin and end in their order, one right after the other. Reads the watched processes' figures.
  void begin_phase(Mono now);
  void end_phase(Mono now, std::uint64_t streams_open);

  void on_due(const Ask& ask);
  void on_late(Duration late);
  void on_connect() { ++figures_.connects; }
  void on_token(Duration gap) override;
  void on_answered(const Exchange& exchange, Mono now, std::int64_t tokens);
  /// `wait` is what the server said to wait; `comes_back` that the client will.
  void on_refused(const Exchange& exchange, Mono now, int status, Duration wait, bool comes_back);
  /// `status` 0: the connection broke, or a stream ended without its end.
  void on_failed(const Ask& ask, int status);
  void on_unfinished(const Ask& ask);

  LoadFigures take() { return std::move(figures_); }

 private:
  struct Sample {
    Mono at{};
    std::vector<double> cpu_seconds;  // of the watched, in their order
    std::vector<CoreTicks> cores;
  };
  Sample sample(Mono now) const;
  /// Null between the end of the last phase and the end of the run.
  PhaseFigures* running();
  Tick& tick(Mono at);
  void note_never(const Ask& ask);

  const LoadPlan& plan_;
  const Mono began_;
  LoadFigures figures_;
  Sample before_;
  std::size_t phases_ended_ = 0;
};

}  // namespace tidegate::bench
