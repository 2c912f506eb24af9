#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tidegate::gateway {

/// One part of a pool's workers, for instance a new revision of a deployment, and how much of the traffic it gets.
struct TrafficArm {
  std::string name;
  std::int64_t weight = 0;  ///< of the sum of all; 0: nothing

  bool operator==(const TrafficArm&) const = default;
};

/// Divides requests between arms by weight, one after the other, without chance: whatever comes, after n requests an arm
/// has had its share of n, give or take one; with conversations that stay where they were, give or take `kSlack`.
///
/// The arm with the greatest weight is the base. A request that another arm should have and has no room for goes to the
/// base at once: a small share never makes the others wait. It never goes the other way: however busy the base is, a
/// small share stays small. Only when the base has nobody who serves, the others take what they can.
/// Pure; one thread.
class TrafficSplit {
 public:
  /// Requests that an arm may be ahead of its share for the sake of conversations, and behind it before that is forgotten.
  static constexpr std::int64_t kSlack = 8;

  struct ArmView {
    bool is_serving = false;  ///< it has workers, busy or not
    bool can_take = false;    ///< one of them has room now
  };
  struct Pick {
    std::size_t arm = 0;
    bool is_passed_on = false;  ///< another arm should have had it
  };

  /// Other parts begin a new count. The same ones go on where they were, however their weights are written and whatever
  /// arms without a part come and go: a share holds over every edit that does not change it.
  void set(std::vector<TrafficArm> arms);
  const std::vector<TrafficArm>& arms() const { return arms_; }
  /// False while no arm has a weight: then there is nothing to divide.
  bool is_divided() const { return total_ > 0; }
  /// Index of the arm with that name.
  std::optional<std::size_t> find(const std::string& arm) const;

  /// Who gets the next request; nullopt: it waits. `views` in the order of arms(); `home`: where its conversation was.
  std::optional<Pick> pick(std::span<const ArmView> views, std::optional<std::size_t> home) const;
  /// `arm` got a request.
  void give(std::size_t arm);

  /// Requests that the arm is behind its share; negative: ahead of it.
  double behind(std::size_t arm) const;

 private:
  std::size_t base() const;
  /// What the same parts under other weights are owed.
  std::vector<std::int64_t> carried_to(const std::vector<TrafficArm>& arms) const;

  std::vector<TrafficArm> arms_;
  std::vector<std::int64_t> weights_;  ///< the same, in smallest terms
  std::vector<std::int64_t> credits_;  ///< in requests times total_; their sum is 0
  std::int64_t total_ = 0;             ///< of the weights
};

}  // namespace tidegate::gateway
