//! The allocator this build is linked with.

#[cfg(feature = "besom")]
mod chosen {
    #[global_allocator]
    static GLOBAL: besom::Besom = besom::Besom;
    pub const NAME: &str = "besom";
}

#[cfg(feature = "mimalloc")]
mod chosen {
    #[global_allocator]
    static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;
    pub const NAME: &str = "mimalloc";
}

#[cfg(feature = "jemalloc")]
mod chosen {
    #[global_allocator]
    static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
    pub const NAME: &str = "tikv-jemallocator";
}

#[cfg(feature = "snmalloc")]
mod chosen {
    #[global_allocator]
    static GLOBAL: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc;
    pub const NAME: &str = "snmalloc-rs";
}

#[cfg(feature = "tcmalloc")]
mod chosen {
    #[global_allocator]
    static GLOBAL: tcmalloc_better::TCMalloc = tcmalloc_better::TCMalloc;
    pub const NAME: &str = "tcmalloc-better";
}

#[cfg(feature = "rpmalloc")]
mod chosen {
    #[global_allocator]
    static GLOBAL: rpmalloc::RpMalloc = rpmalloc::RpMalloc;
    pub const NAME: &str = "rpmalloc";
}

#[cfg(not(any(
    feature = "besom",
    feature = "mimalloc",
    feature = "jemalloc",
    feature = "snmalloc",
    feature = "tcmalloc",
    feature = "rpmalloc"
)))]
mod chosen {
    pub const NAME: &str = "the C library's";
}

pub use chosen::NAME;
