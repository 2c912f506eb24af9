#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <string_view>
#include <vector>

#include "base/core/random.h"
#include "base/core/result.h"

namespace tidegate::scheduler {

/// A request as a trace has it.
struct TraceRequest {
  double at_s = 0;  ///< since the first
  std::int32_t prompt_tokens = 0;
  std::int32_t completion_tokens = 0;
};

inline constexpr std::size_t kTraceRequestsMax = 10'000'000;

/// Azure's CSV (TIMESTAMP,ContextTokens,GeneratedTokens) or Mooncake's JSON lines (timestamp in ms, input_length,
/// output_length), told apart by the first byte. In the order of arrival, at least two, over at least a second.
/// Fails: invalid_argument/bad_trace with the line.
Result<std::vector<TraceRequest>> parse_trace(std::string_view text);

/// The shape of a working day: requests at a minute of the local week, as a share of the week's greatest rate. Nights
/// fall to a quarter, there is a dip at noon, weekends reach 70 %. Between the hours it goes straight.
double day_shape(std::int32_t week_minute);

/// A trace played over days: as many copies of it side by side, each from another place on, as its own rate goes into
/// the peak, so that each runs at about its own pace and keeps its burstiness. All go slower or faster as the time of
/// day asks, and each minute's rate is off by a normal draw of `noise`.
class Traffic {
 public:
  struct Shape {
    double peak_per_s = 10;  ///< rate at the day's top
    double noise = 0.05;     ///< standard deviation of a minute's rate, as a share of it
    bool is_flat = false;    ///< the peak all day long, for steps
    double step_at_s = -1;   ///< from here on the rate is multiplied; negative: never
    double step_factor = 1;
  };
  struct Arrival {
    double at_s = 0;
    std::int32_t prompt_tokens = 0;
    std::int32_t completion_tokens = 0;
  };

  /// `trace` outlives it and has passed parse_trace(). `start_minute`: of the local week, at second 0.
  Traffic(const std::vector<TraceRequest>& trace, Shape shape, std::int32_t start_minute, std::uint64_t seed);
  /// In the order of time, without end.
  const Arrival& peek() const { return next_; }
  Arrival take();

 private:
  double rate_at(double at_s);
  void advance();

  const std::vector<TraceRequest>& trace_;
  Shape shape_;
  std::int32_t start_minute_;
  Rng rng_;
  double trace_rate_ = 1;
  struct Copy {
    double due = 0;  ///< on the copies' own clock, which goes at the trace's pace
    std::size_t index = 0;
    bool operator>(const Copy& other) const { return due > other.due; }
  };
  std::priority_queue<Copy, std::vector<Copy>, std::greater<>> copies_;
  double copies_clock_ = 0;
  std::int64_t noise_minute_ = -1;
  double noise_factor_ = 1;
  Arrival next_;
};

/// Seconds to load a model's weights, drawn from a distribution given by its quantiles.
class LoadLatency {
 public:
  /// Base-model loads of a production fleet: 7,531 of them, alibaba/clusterdata v2026-GenAI (21 quantiles). A third
  /// find the weights on the node.
  LoadLatency();
  /// One figure of milliseconds a line, in the last or second column after a heading, as the trace's own file.
  /// Fails: invalid_argument/bad_latencies.
  static Result<LoadLatency> parse(std::string_view text);
  double draw(Rng& rng) const;

 private:
  std::vector<double> quantiles_;
};

}  // namespace tidegate::scheduler
