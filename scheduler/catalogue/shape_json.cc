#include "scheduler/catalogue/shape_json.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <string_view>

namespace tidegate::scheduler {

namespace {

struct Number {
  std::string_view name;
  std::int32_t ModelShape::*member;
};
constexpr std::array<Number, 20> kNumbers = {{{"num_hidden_layers", &ModelShape::layers},
                                              {"hidden_size", &ModelShape::hidden},
                                              {"vocab_size", &ModelShape::vocab},
                                              {"num_attention_heads", &ModelShape::heads},
                                              {"num_key_value_heads", &ModelShape::kv_heads},
                                              {"head_dim", &ModelShape::head_dim},
                                              {"q_lora_rank", &ModelShape::q_lora_rank},
                                              {"kv_lora_rank", &ModelShape::kv_lora_rank},
                                              {"qk_nope_head_dim", &ModelShape::nope_dim},
                                              {"qk_rope_head_dim", &ModelShape::rope_dim},
                                              {"v_head_dim", &ModelShape::value_dim},
                                              {"index_n_heads", &ModelShape::index_heads},
                                              {"index_head_dim", &ModelShape::index_head_dim},
                                              {"intermediate_size", &ModelShape::dense_intermediate},
                                              {"n_routed_experts", &ModelShape::experts},
                                              {"num_experts_per_tok", &ModelShape::experts_per_token},
                                              {"n_shared_experts", &ModelShape::shared_experts},
                                              {"moe_intermediate_size", &ModelShape::moe_intermediate},
                                              {"first_k_dense_replace", &ModelShape::first_moe_layer},
                                              {"num_nextn_predict_layers", &ModelShape::mtp_layers}}};

struct Flag {
  std::string_view name;
  bool ModelShape::*member;
};
constexpr std::array<Flag, 4> kFlags = {{{"qkv_bias", &ModelShape::qkv_bias},
                                         {"qk_norm", &ModelShape::qk_norm},
                                         {"router_bias", &ModelShape::router_bias},
                                         {"tie_word_embeddings", &ModelShape::tied_embeddings}}};

template <typename Rows>
bool has_row(const Rows& rows, std::string_view key) {
  for (const auto& row : rows) {
    if (row.name == key) return true;
  }
  return false;
}

std::unexpected<Error> bad_shape(std::string message, std::string field) {
  return fail(Code::kInvalidArgument, "bad_catalogue", std::move(message), std::move(field));
}

}  // namespace

Result<ModelShape> read_shape(const json::object& from, const std::string& path) {
  for (const auto& member : from) {
    const std::string_view key(member.key().data(), member.key().size());
    if (has_row(kNumbers, key) || has_row(kFlags, key)) continue;
    const std::string field = json::join_path(path, key);
    return bad_shape(fmt::format("'{}' is not a member of a shape", field), field);
  }
  ModelShape shape;
  for (const Number& row : kNumbers) {
    TG_ASSIGN(const auto number, json::find_int(from, row.name, path));
    const std::int64_t value = number.value_or(0);
    if (value < 0 || value > std::numeric_limits<std::int32_t>::max()) {
      const std::string field = json::join_path(path, row.name);
      return bad_shape(fmt::format("'{}' must be zero or more and fit in 32 bits", field), field);
    }
    shape.*row.member = static_cast<std::int32_t>(value);
  }
  for (const Flag& row : kFlags) {
    TG_ASSIGN(const auto flag, json::find_bool(from, row.name, path));
    shape.*row.member = flag.value_or(false);
  }
  if (!shape.is_latent() && shape.head_dim == 0 && shape.heads > 0) shape.head_dim = shape.hidden / shape.heads;
  const Status checked = check_shape(shape);
  if (checked) return shape;
  Error error = checked.error();
  error.field = json::join_path(path, error.field);
  return fail(std::move(error));
}

}  // namespace tidegate::scheduler
