#include "scheduler/sim/traffic.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>

#include "base/core/clock.h"
#include "base/json/json.h"
#include "scheduler/core/autoscale_policy.h"

namespace tidegate::scheduler {

namespace {

/// Share of the peak at each full hour of a weekday.
constexpr std::array<double, 24> kHours = {0.34, 0.29, 0.26, 0.25, 0.25, 0.27, 0.33, 0.46, 0.66, 0.86, 0.97, 0.95,
                                           0.82, 0.88, 0.98, 1.00, 0.99, 0.93, 0.80, 0.76, 0.74, 0.66, 0.54, 0.42};
constexpr double kWeekend = 0.7;

std::unexpected<Error> bad_trace(std::size_t line, std::string_view why) {
  return fail(Code::kInvalidArgument, "bad_trace", fmt::format("line {} of the trace: {}", line, why),
              fmt::format("trace:{}", line));
}

template <typename T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view take_line(std::string_view& text) {
  const auto end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// "2023-11-16 18:15:46.6805900" in seconds; the fraction is optional.
std::optional<double> seconds_of(std::string_view stamp) {
  if (stamp.size() < 19) return std::nullopt;
  std::string text(stamp.substr(0, 10));
  text.append(1, 'T').append(stamp.substr(11)).append(1, 'Z');
  const auto wall = parse_rfc3339(text);
  if (!wall) return std::nullopt;
  return static_cast<double>(unix_micros(*wall)) / 1e6;
}

Result<TraceRequest> read_csv(std::string_view line, std::size_t number_of_line) {
  const auto first = line.find(',');
  const auto second = line.find(',', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos)
    return bad_trace(number_of_line, "three columns are needed");
  const auto at = seconds_of(line.substr(0, first));
  const auto in = number<std::int32_t>(line.substr(first + 1, second - first - 1));
  const auto out = number<std::int32_t>(line.substr(second + 1));
  if (!at || !in || !out || *in < 0 || *out < 0)
    return bad_trace(number_of_line, "a time and two counts of tokens are needed");
  return TraceRequest{*at, *in, *out};
}

Result<TraceRequest> read_json(std::string_view line, std::size_t number_of_line) {
  const auto document = json::parse(line);
  if (!document || !document->is_object()) return bad_trace(number_of_line, "a JSON object is needed");
  const auto at = json::get_double(document->get_object(), "timestamp");
  const auto in = json::get_int(document->get_object(), "input_length");
  const auto out = json::get_int(document->get_object(), "output_length");
  if (!at || !in || !out || *in < 0 || *out < 0 || *in > (1 << 24) || *out > (1 << 24)) {
    return bad_trace(number_of_line, "timestamp, input_length and output_length are needed");
  }
  return TraceRequest{*at / 1000, static_cast<std::int32_t>(*in), static_cast<std::int32_t>(*out)};
}

double normal(Rng& rng) {
  const double radius = std::sqrt(-2 * std::log(1 - rng.unit()));
  return radius * std::cos(2 * std::numbers::pi * rng.unit());
}

}  // namespace

Result<std::vector<TraceRequest>> parse_trace(std::string_view text) {
  std::vector<TraceRequest> trace;
  const bool is_json = text.starts_with('{');
  std::size_t line_number = 0;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    ++line_number;
    if (line.empty() || (line_number == 1 && !is_json)) continue;
    auto request = is_json ? read_json(line, line_number) : read_csv(line, line_number);
    if (!request) return fail(request.error());
    if (trace.size() >= kTraceRequestsMax)
      return bad_trace(line_number, fmt::format("more than {} requests", kTraceRequestsMax));
    trace.push_back(*request);
  }
  std::stable_sort(trace.begin(), trace.end(),
                   [](const TraceRequest& a, const TraceRequest& b) { return a.at_s < b.at_s; });
  if (trace.size() < 2 || trace.back().at_s - trace.front().at_s < 1) {
    return bad_trace(line_number, "at least two requests over at least a second are needed");
  }
  const double start = trace.front().at_s;
  for (TraceRequest& request : trace) request.at_s -= start;
  return trace;
}

double day_shape(std::int32_t week_minute) {
  const std::int32_t day = week_minute / kMinutesPerDay;
  const std::int32_t minute = week_minute % kMinutesPerDay;
  const auto hour = static_cast<std::size_t>(minute / 60);
  const double part = (minute % 60) / 60.0;
  const auto height = [&](std::size_t at, std::int32_t on) { return kHours[at % 24] * (on % 7 >= 5 ? kWeekend : 1); };
  const double here = height(hour, day);
  const double there = height(hour + 1, hour == 23 ? day + 1 : day);
  return here * (1 - part) + there * part;
}

Traffic::Traffic(const std::vector<TraceRequest>& trace, Shape shape, std::int32_t start_minute, std::uint64_t seed)
    : trace_(trace), shape_(shape), start_minute_(start_minute), rng_(seed) {
  trace_rate_ = static_cast<double>(trace.size() - 1) / (trace.back().at_s - trace.front().at_s);
  const auto count = std::clamp<std::int64_t>(
      std::llround(shape_.peak_per_s * std::max(1.0, shape_.step_factor) / trace_rate_), 1, 1'000);
  for (std::int64_t i = 0; i < count; ++i) {
    copies_.push({rng_.unit() / trace_rate_, static_cast<std::size_t>(rng_.below(trace.size()))});
  }
  advance();
}

double Traffic::rate_at(double at_s) {
  const auto minute = static_cast<std::int64_t>(at_s / 60);
  if (minute != noise_minute_) {
    noise_minute_ = minute;
    noise_factor_ = std::max(0.2, 1 + shape_.noise * normal(rng_));
  }
  const double height =
      shape_.is_flat ? 1 : day_shape(static_cast<std::int32_t>((start_minute_ + minute) % kMinutesPerWeek));
  const double step = shape_.step_at_s >= 0 && at_s >= shape_.step_at_s ? shape_.step_factor : 1;
  return std::max(1e-6, shape_.peak_per_s * height * noise_factor_ * step);
}

void Traffic::advance() {
  Copy copy = copies_.top();
  copies_.pop();
  const TraceRequest& request = trace_[copy.index];
  const double own_rate = trace_rate_ * static_cast<double>(copies_.size() + 1);
  next_.at_s += (copy.due - copies_clock_) * own_rate / rate_at(next_.at_s);
  next_.prompt_tokens = std::max(request.prompt_tokens, 1);
  next_.completion_tokens = std::max(request.completion_tokens, 1);
  copies_clock_ = copy.due;
  copy.index = (copy.index + 1) % trace_.size();
  copy.due += copy.index == 0 ? 1 / trace_rate_ : trace_[copy.index].at_s - request.at_s;
  copies_.push(copy);
}

Traffic::Arrival Traffic::take() {
  const Arrival taken = next_;
  advance();
  return taken;
}

LoadLatency::LoadLatency()
    : quantiles_{1.3,  2.3,  2.6,  2.8,  2.9,  3.1,  3.6,  7.6,  20.1, 21.4, 22.7,
                 24.2, 26.9, 33.0, 35.4, 36.9, 38.3, 39.8, 42.0, 45.4, 79.4} {}

Result<LoadLatency> LoadLatency::parse(std::string_view text) {
  LoadLatency latency;
  latency.quantiles_.clear();
  std::size_t line_number = 0;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    if (++line_number == 1 || line.empty()) continue;
    const auto first = line.find(',');
    if (first != std::string_view::npos) line = line.substr(first + 1, line.find(',', first + 1) - first - 1);
    const auto millis = number<double>(line);
    if (!millis || !(*millis >= 0) || *millis > 86'400'000) {
      return fail(Code::kInvalidArgument, "bad_latencies",
                  fmt::format("line {}: a load takes 0 to 86400000 ms", line_number), "load_latency");
    }
    latency.quantiles_.push_back(*millis / 1000);
  }
  if (latency.quantiles_.empty())
    return fail(Code::kInvalidArgument, "bad_latencies", "no latencies in the file", "load_latency");
  std::sort(latency.quantiles_.begin(), latency.quantiles_.end());
  return latency;
}

double LoadLatency::draw(Rng& rng) const {
  const double at = rng.unit() * static_cast<double>(quantiles_.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, quantiles_.size() - 1);
  return quantiles_[low] + (at - static_cast<double>(low)) * (quantiles_[high] - quantiles_[low]);
}

}  // namespace tidegate::scheduler
