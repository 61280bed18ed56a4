// embed.cpp — libnuthatch from C++17: owners that clean up after themselves, and no more.
//
//     c++ -std=c++17 embed.cpp $(pkg-config --cflags --libs nuthatch) -o embed && ./embed
#include <chrono>
#include <iostream>
#include <memory>
#include <nuthatch.h>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

using std::chrono::milliseconds;

// A value lent by the store, given back when this goes. It must not outlive the store.
class Lent
{
  public:
    Lent(nh_store *store, const nh_value &value) : store_(store), value_(value) {}
    Lent(Lent &&other) noexcept : store_(std::exchange(other.store_, nullptr)), value_(other.value_) {}
    Lent &operator=(Lent &&) = delete;
    ~Lent()
    {
        if (store_ != nullptr)
            nh_release(store_, &value_);
    }

    std::string_view text() const
    {
        return {static_cast<const char *>(value_.bytes.data), value_.bytes.size};
    }
    bool is_stale() const { return (value_.traits & NH_VALUE_STALE) != 0; }

  private:
    nh_store *store_;
    nh_value value_;
};

// Any thread may use one Store at the same time.
class Store
{
  public:
    explicit Store(uint64_t memory_bytes)
    {
        nh_options options = {};
        options.size = sizeof options;
        options.memory_bytes = memory_bytes;
        nh_store *store = nullptr;
        check(nh_create(&options, &store));
        store_.reset(store);
    }

    void put(std::string_view key, std::string_view value, milliseconds ttl = milliseconds(0))
    {
        nh_put_options options = {};
        options.size = sizeof options;
        options.ttl_ms = ttl.count();
        check(nh_put(store_.get(), now_ms(), key_of(key), {value.data(), value.size()}, &options, nullptr));
    }

    std::optional<Lent> borrow(std::string_view key)
    {
        nh_value value;
        const nh_result result = nh_borrow(store_.get(), now_ms(), key_of(key), &value);
        if (result == NH_MISSING)
            return std::nullopt;
        check(result);
        return std::optional<Lent>(std::in_place, store_.get(), value);
    }

  private:
    struct Destroy {
        void operator()(nh_store *store) const { nh_destroy(store); }
    };

    static void check(nh_result result)
    {
        if (result != NH_OK)
            throw std::runtime_error(nh_result_text(result));
    }
    static nh_key key_of(std::string_view text) { return {text.data(), text.size(), 0}; }
    static int64_t now_ms()
    {
        const auto now = std::chrono::steady_clock::now().time_since_epoch();
        return std::chrono::duration_cast<milliseconds>(now).count();
    }

    std::unique_ptr<nh_store, Destroy> store_;
};

int main()
{
    Store store(16 << 20);

    store.put("/birds/1", "Eurasian nuthatch", std::chrono::minutes(1));
    for (const char *key : {"/birds/1", "/birds/2"}) {
        if (const auto value = store.borrow(key))
            std::cout << key << " is the " << value->text() << (value->is_stale() ? ", stale\n" : "\n");
        else
            std::cout << key << " is not here\n";
    }
}
