#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/core/ids.h"

namespace tidegate::gateway {

/// What a dead epoch still owes, from its records in order. Pure; payloads stay opaque.
///
/// A FINAL settles its request. An ADMIT without one was cut by the crash: with PROGRESS it is settled at the last
/// amount that the client has for certain; without, it is void: nothing was delivered, nothing is charged.
class RecoveryPlan {
 public:
  struct Cut {
    RequestId request;
    std::string admit;
    std::string progress;  ///< the last one
  };

  void on_admit(RequestId request, std::string_view payload);
  void on_progress(RequestId request, std::string_view payload);
  void on_final(RequestId request);
  void on_closing() { is_closing_ = true; }

  /// To be settled as interrupted, in the order of admission.
  std::vector<Cut> interrupted() const;
  std::size_t void_count() const;
  /// The epoch's last life had shipped everything and was asking billing to close it.
  bool is_closing() const { return is_closing_; }

 private:
  struct Open {
    std::uint64_t order = 0;
    std::string admit;
    std::optional<std::string> progress;
  };
  std::unordered_map<RequestId, Open> open_;
  std::uint64_t next_order_ = 0;
  bool is_closing_ = false;
};

}  // namespace tidegate::gateway
