#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace tidegate {

/// Is this process able to do its job? A set of named checks; it is ready when every one is up. Each check belongs
/// to the part that knows ("routes", "billing", "journal"). Thread-safe.
class Readiness {
 public:
  /// Handle of one check; copyable, valid as long as the Readiness.
  class Check {
   public:
    void up() const { owner_->set(name_, true, {}); }
    /// `why` is one sentence for the operator.
    void down(std::string_view why) const { owner_->set(name_, false, why); }

   private:
    friend class Readiness;
    Check(Readiness* owner, std::string name) : owner_(owner), name_(std::move(name)) {}
    Readiness* owner_;
    std::string name_;
  };

  /// Starts down, with "starting" as its reason. Adding a name again gives the same check.
  Check add(std::string_view name);

  bool is_ready() const;
  /// {"ready":false,"checks":{"billing":"ok","routes":"no worker is connected"}}
  std::string render() const;

 private:
  struct State {
    bool is_up = false;
    std::string why = "starting";
  };
  void set(const std::string& name, bool is_up, std::string_view why);

  mutable std::mutex mutex_;
  std::map<std::string, State, std::less<>> checks_;
};

}  // namespace tidegate
